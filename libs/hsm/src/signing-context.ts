import koffi from 'koffi';
import type { Mechanism } from 'pkcs11js';
import { HsmError } from './hsm-error';

/** What ML-DSA and SLH-DSA take beside the message. */
export interface SigningContext {
  /** Domain separation, 0 to 255 bytes; signer and verifier must give the same (FIPS 204 §5.2, FIPS 205 §10.2). Empty when left out. */
  readonly context?: Buffer;
  /** Signs without fresh randomness, so that the signature has one right value. For known answers: hedged signing, the default, withstands faults better (FIPS 204 §3.4). */
  readonly deterministic?: boolean;
}

export const longestContextBytes = 255;
const CKH_HEDGE_PREFERRED = 0;
const CKH_DETERMINISTIC_REQUIRED = 2;
const wordBytes = 8;

/**
 * The mechanism with CK_SIGN_ADDITIONAL_CONTEXT (PKCS#11 v3.2, ML-DSA signature): hedge type, pointer to the context, its length. The binding passes bytes on as
 * they are and knows nothing of the pointer, so the parameter itself keeps the context from being collected before the token has read it.
 * @throws HsmError HSM_ARGUMENT_INVALID for a context that is too long
 */
export function withContext(mechanism: number, { context, deterministic }: SigningContext): Mechanism {
  const held = Buffer.from(context ?? []);
  if (held.length > longestContextBytes)
    throw new HsmError('HSM_ARGUMENT_INVALID', `A context has at most ${longestContextBytes} bytes, not ${held.length}`);
  const parameter = Buffer.alloc(3 * wordBytes);
  parameter.writeBigUInt64LE(BigInt(deterministic ? CKH_DETERMINISTIC_REQUIRED : CKH_HEDGE_PREFERRED), 0);
  if (held.length > 0) parameter.writeBigUInt64LE(koffi.address(held), wordBytes);
  parameter.writeBigUInt64LE(BigInt(held.length), 2 * wordBytes);
  return { mechanism, parameter: Object.assign(parameter, { held }) };
}
