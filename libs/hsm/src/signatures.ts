import pkcs11, { type Mechanism } from 'pkcs11js';
import { isPair, isPq, type PairAlgorithm, rowOf } from './algorithms';
import type { Connection, KeyHandle, KeySource } from './connection';
import { HsmError } from './hsm-error';
import { returnValueOf } from './return-values';
import {
  type DigestScheme,
  isMessageScheme,
  messageSchemes,
  type SchemeRow,
  type SignatureScheme,
  schemesOf,
  signatureSchemes,
} from './signature-schemes';
import { type SigningContext, withContext } from './signing-context';

const CKR_SIGNATURE_INVALID = 0xc0;
const CKR_SIGNATURE_LEN_RANGE = 0xc1;

/** A zero-length Buffer of its own has a null pointer, which tokens refuse; a slice of one byte does not. */
export const emptyInput = Buffer.alloc(1).subarray(0, 0);

/** A signature as the token is asked for it. */
interface Plan {
  readonly key: KeyHandle;
  readonly scheme: SignatureScheme;
  readonly mechanism: Mechanism;
  readonly input: Buffer;
  readonly signatureBytes: number;
}

const mechanisms = Object.fromEntries(
  Object.entries(signatureSchemes).map(([name, { mechanism, pss }]: [string, SchemeRow]) => [
    name,
    pss ? { mechanism, parameter: { type: pkcs11.CK_PARAMS_RSA_PSS, ...pss } as Mechanism['parameter'] } : { mechanism },
  ]),
) as Record<DigestScheme, Mechanism>;

/** Of one signature; a KEM's keys make none. */
function signatureBytesOf(algorithm: PairAlgorithm): number {
  const row = rowOf(algorithm);
  return 'outputBytes' in row ? row.outputBytes : 'signatureBytes' in row ? row.signatureBytes : 0;
}

/** @throws HsmError HSM_KEY_USE_REFUSED (the scheme is not for such a key), HSM_ARGUMENT_INVALID (no digest of it) */
export function planDigest(key: KeyHandle, scheme: DigestScheme, digest: Buffer, purpose: 'signs' | 'verifies'): Plan {
  const row: SchemeRow | undefined = signatureSchemes[scheme];
  if (!row?.algorithms.includes(key.algorithm) || !isPair(key.algorithm))
    throw new HsmError('HSM_KEY_USE_REFUSED', `An ${key.algorithm} key makes no ${scheme} signature over a digest`);
  if (!row[purpose].includes(digest.length))
    throw new HsmError('HSM_ARGUMENT_INVALID', `${scheme} ${purpose} digests of ${row[purpose].join(', ')} bytes, not ${digest.length}`);
  // Cut here as SEC 1 says, since not every token can be trusted to do it as SoftHSM does.
  const input = row.digestInfo ? Buffer.concat([row.digestInfo, digest]) : digest.subarray(0, row.leftmostBytes);
  return { key, scheme, mechanism: mechanisms[scheme], input, signatureBytes: signatureBytesOf(key.algorithm) };
}

/** @throws HsmError HSM_KEY_USE_REFUSED, HSM_ARGUMENT_INVALID (a context that is too long, or for a scheme that has none) */
export function planMessage(key: KeyHandle, message: Buffer, context?: SigningContext): Plan {
  const [scheme] = schemesOf(key.algorithm);
  if (!scheme || !isMessageScheme(scheme))
    throw new HsmError('HSM_KEY_USE_REFUSED', `An ${key.algorithm} key makes no signature over a message itself`);
  const input = message.length === 0 ? emptyInput : message;
  const algorithm = messageSchemes[scheme];
  const { operate } = rowOf(algorithm);
  if (context && !isPq(algorithm)) throw new HsmError('HSM_ARGUMENT_INVALID', `${scheme} signatures have no context`);
  const mechanism = context ? withContext(operate, context) : { mechanism: operate };
  return { key, scheme, mechanism, input, signatureBytes: signatureBytesOf(algorithm) };
}

export function sign(connection: Connection, { key, scheme, mechanism, input, signatureBytes }: Plan): Buffer {
  connection.assertCurrent(key);
  const { operations } = connection.ready();
  try {
    connection.p11.C_SignInit(operations, mechanism, key.object);
    return connection.p11.C_Sign(operations, input, Buffer.allocUnsafe(signatureBytes));
  } catch (error) {
    throw connection.failure(error, 'sign', scheme);
  }
}

export function verify(connection: Connection, { key, scheme, mechanism, input, signatureBytes }: Plan, signature: Buffer): boolean {
  connection.assertCurrent(key);
  if (signature.length !== signatureBytes) return false;
  const { operations } = connection.ready();
  try {
    connection.p11.C_VerifyInit(operations, mechanism, key.object);
    return connection.p11.C_Verify(operations, input, signature);
  } catch (error) {
    if (saysInvalid(error)) return false;
    throw connection.failure(error, 'verify', scheme);
  }
}

/** `urgent`: before all that wait for a session. */
export const signAsync = (
  connection: Connection,
  source: KeySource,
  scheme: DigestScheme,
  digest: Buffer,
  urgent = false,
): Promise<Buffer> => signPlanned(connection, scheme, digest, (copy) => planDigest(source(), scheme, copy, 'signs'), urgent);

/** Also for SLH-DSA, which takes tenths of a second. */
export const signMessageAsync = (connection: Connection, source: KeySource, message: Buffer): Promise<Buffer> =>
  signPlanned(connection, 'a message', message, (copy) => planMessage(source(), copy), false);

export const verifyAsync = (
  connection: Connection,
  source: KeySource,
  scheme: DigestScheme,
  digest: Buffer,
  signature: Buffer,
): Promise<boolean> => verifyPlanned(connection, scheme, digest, (copy) => planDigest(source(), scheme, copy, 'verifies'), signature);

export const verifyMessageAsync = (connection: Connection, source: KeySource, message: Buffer, signature: Buffer): Promise<boolean> =>
  verifyPlanned(connection, 'a message', message, (copy) => planMessage(source(), copy), signature);

function signPlanned(
  connection: Connection,
  subject: string,
  data: Buffer,
  plan: (copy: Buffer) => Plan,
  urgent: boolean,
): Promise<Buffer> {
  const copy = Buffer.from(data);
  const held: Buffer[] = [copy];
  return connection.async.run({
    ...{ operation: 'sign', subject, inputs: held, urgent },
    begin: (p11, session) => {
      const { key, mechanism, input, signatureBytes } = plan(copy);
      connection.assertCurrent(key);
      held.push(input);
      p11.C_SignInit(session, mechanism, key.object);
      return p11.C_SignAsync(session, input, Buffer.alloc(signatureBytes));
    },
  });
}

function verifyPlanned(
  connection: Connection,
  subject: string,
  data: Buffer,
  plan: (copy: Buffer) => Plan,
  signature: Buffer,
): Promise<boolean> {
  const [copy, signatureCopy] = [Buffer.from(data), Buffer.from(signature)];
  const held: Buffer[] = [copy, signatureCopy];
  return connection.async.run({
    ...{ operation: 'verify', subject, inputs: held },
    begin: async (p11, session) => {
      const { key, mechanism, input, signatureBytes } = plan(copy);
      connection.assertCurrent(key);
      if (signatureCopy.length !== signatureBytes) return false;
      held.push(input);
      p11.C_VerifyInit(session, mechanism, key.object);
      try {
        return await p11.C_VerifyAsync(session, input, signatureCopy);
      } catch (error) {
        if (saysInvalid(error)) return false;
        throw error;
      }
    },
  });
}

function saysInvalid(error: unknown): boolean {
  const ckr = returnValueOf(error);
  return ckr === CKR_SIGNATURE_INVALID || ckr === CKR_SIGNATURE_LEN_RANGE;
}
