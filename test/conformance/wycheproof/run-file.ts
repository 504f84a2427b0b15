import { readFile } from 'node:fs/promises';
import { HsmError, type Token } from '@claviger/hsm';
import { type Counts, countOne, noCounts, passes, Skip, TokenLacks } from '../outcome';
import { aesGcm } from './aes-gcm';
import { ecdh } from './ecdh';
import { ecdsa } from './ecdsa';
import { ed25519 } from './ed25519';
import { hmac } from './hmac';
import { jwe } from './jwe';
import { jws } from './jws';
import { keyWrap } from './key-wrap';
import { mlKemDecaps, mlKemEncaps, mlKemKeyGen, mlKemSeed } from './ml-kem';
import { mlDsaSign, pqVerify } from './pq-signatures';
import { rsaOaep } from './rsa-oaep';
import { rsaPkcs1Sign, rsaPkcs1Verify, rsaPssVerify } from './rsa-signatures';
import type { Suite } from './suite';
import { type Group, type Vector, VectorFile } from './vectors';

/** By the type of a test group, which is what says its format; the name of a file says nothing. */
const suites: Readonly<Record<string, Suite>> = {
  AeadTest: aesGcm,
  KeywrapTest: keyWrap,
  MacTest: hmac,
  EcdsaVerify: ecdsa,
  EcdsaP1363Verify: ecdsa,
  EcdsaBitcoinVerify: ecdsa,
  EddsaVerify: ed25519,
  RsassaPkcs1Verify: rsaPkcs1Verify,
  RsassaPkcs1Generate: rsaPkcs1Sign,
  RsassaPssVerify: rsaPssVerify,
  RsassaPssWithParametersVerify: rsaPssVerify,
  RsaesOaepDecrypt: rsaOaep,
  EcdhTest: ecdh,
  EcdhEcpointTest: ecdh,
  EcdhPemTest: ecdh,
  EcdhWebcryptoTest: ecdh,
  MlDsaVerify: pqVerify,
  SlhDsaVerify: pqVerify,
  MlDsaSign: mlDsaSign,
  MLKEMTest: mlKemSeed,
  MLKEMEncapsTest: mlKemEncaps,
  MLKEMDecapsValidationTest: mlKemDecaps,
  MLKEMKeyGen: mlKemKeyGen,
  JsonWebSignature: jws,
  JsonWebKey: jws,
  JsonWebEncryption: jwe,
  JsonWebCrypto: (token, group, algorithm) => (group.tests.some((test) => 'jws' in test) ? jws : jwe)(token, group, algorithm),
};

/** Every vector of one file, each counted once, on the first of the tokens that can do it. @throws Error for a file that is no vector file */
export async function runFile(path: string, tokens: readonly Token[]): Promise<Counts> {
  const file = VectorFile.parse(JSON.parse(await readFile(path, 'utf8')));
  const counts = noCounts();
  for (const group of file.testGroups) await runGroup(tokens, group, file.algorithm ?? '', counts);
  return counts;
}

type Judge = ReturnType<Suite>;

async function runGroup(tokens: readonly Token[], group: Group, algorithm: string, counts: Counts): Promise<void> {
  const judges = tokens.map((token) => ({ token, judge: once(() => judgeOf(token, group, algorithm)) }));
  for (const vector of group.tests) await runVector(judges, vector, counts);
}

async function runVector(judges: readonly { token: Token; judge: () => Judge }[], vector: Vector, counts: Counts): Promise<void> {
  let lacks = 'no token to run it on';
  for (const { token, judge } of judges) {
    try {
      const verdict = await judge()(vector);
      if (passes(vector.result, verdict)) counts.passed++;
      else counts.failed.push(`${named(vector)}: ${vector.result}, and was ${verdict}`);
      return countOne(counts.tokens, token.label);
    } catch (error) {
      if (error instanceof Skip && !(error instanceof TokenLacks)) return countOne(counts.skipped, error.message);
      if (!saysLacking(error)) {
        counts.failed.push(`${named(vector)}: ${error instanceof HsmError ? `${error.code}: ${error.what}` : String(error)}`);
        return countOne(counts.tokens, token.label);
      }
      lacks = error instanceof HsmError ? error.what : error.message;
    }
  }
  countOne(counts.skipped, lacks);
}

function judgeOf(token: Token, group: Group, algorithm: string): Judge {
  const suite = Object.hasOwn(suites, group.type) ? suites[group.type] : undefined;
  if (!suite) throw new Skip(`${algorithm || group.type} is not an algorithm of Claviger`);
  return suite(token, group, algorithm);
}

const saysLacking = (error: unknown): error is TokenLacks | HsmError =>
  error instanceof TokenLacks || (error instanceof HsmError && error.code === 'HSM_MECHANISM_UNAVAILABLE');

/** What `make` gives, or throws, each time, made when it is first asked for. */
function once<T>(make: () => T): () => T {
  let made: { value: T } | { error: unknown } | undefined;
  return () => {
    try {
      made ??= { value: make() };
    } catch (error) {
      made = { error };
    }
    if ('error' in made) throw made.error;
    return made.value;
  };
}

const named = ({ tcId, comment, flags = [] }: Vector) =>
  `tcId ${tcId}${comment ? ` (${comment})` : ''}${flags.length ? ` [${flags.join(', ')}]` : ''}`;
