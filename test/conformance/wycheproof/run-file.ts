import { readFile } from 'node:fs/promises';
import { HsmError, type Token } from '@claviger/hsm';
import { type Counts, passes, Skip } from '../outcome';
import { aesGcm } from './aes-gcm';
import { ecdh } from './ecdh';
import { ecdsa } from './ecdsa';
import { ed25519 } from './ed25519';
import { hmac } from './hmac';
import { jwe } from './jwe';
import { jws } from './jws';
import { keyWrap } from './key-wrap';
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
  JsonWebSignature: jws,
  JsonWebKey: jws,
  JsonWebEncryption: jwe,
  JsonWebCrypto: (token, group, algorithm) => (group.tests.some((test) => 'jws' in test) ? jws : jwe)(token, group, algorithm),
};

/** Every vector of one file, each counted once. @throws Error for a file that is no vector file */
export async function runFile(path: string, token: Token): Promise<Counts> {
  const file = VectorFile.parse(JSON.parse(await readFile(path, 'utf8')));
  const counts: Counts = { passed: 0, failed: [], skipped: new Map() };
  for (const group of file.testGroups) await runGroup(token, group, file.algorithm ?? '', counts);
  return counts;
}

async function runGroup(token: Token, group: Group, algorithm: string, counts: Counts): Promise<void> {
  let judge: ReturnType<Suite>;
  try {
    const suite = Object.hasOwn(suites, group.type) ? suites[group.type] : undefined;
    if (!suite) throw new Skip(`${algorithm || group.type} is not an algorithm of Claviger`);
    judge = suite(token, group, algorithm);
  } catch (error) {
    for (const vector of group.tests) note(counts, vector, error);
    return;
  }
  for (const vector of group.tests) {
    try {
      const verdict = await judge(vector);
      if (passes(vector.result, verdict)) counts.passed++;
      else counts.failed.push(`${named(vector)}: ${vector.result}, and was ${verdict}`);
    } catch (error) {
      note(counts, vector, error);
    }
  }
}

function note(counts: Counts, vector: Vector, error: unknown): void {
  const reason = error instanceof Skip ? error.message : undefined;
  if (reason !== undefined) counts.skipped.set(reason, (counts.skipped.get(reason) ?? 0) + 1);
  else counts.failed.push(`${named(vector)}: ${error instanceof HsmError ? `${error.code}: ${error.what}` : String(error)}`);
}

const named = ({ tcId, comment, flags = [] }: Vector) =>
  `tcId ${tcId}${comment ? ` (${comment})` : ''}${flags.length ? ` [${flags.join(', ')}]` : ''}`;
