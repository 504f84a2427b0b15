// What one process gets from a token, a process of its own, started by together.ts: token-load.js SECONDS softhsm|kryoptic. Tells its TokenRates.
import { createHash, randomBytes } from 'node:crypto';
import type { KeyHandle, Token } from '@claviger/hsm';
import { openFreshTokens, type TokenName } from '../conformance/tokens';
import { told, untilTime, whenAllAreReady } from './interval';

/** Calls a second, by what was called. */
export type TokenRates = Record<string, number>;

const seconds = Number(process.argv[2]);
const opened = await openFreshTokens([process.argv[3] as TokenName]);
const token = opened.tokens[0] as Token;
token.generateRootKey('root');
const root = token.findTokenKey('root', 'secret');
const kek = token.unwrap({ ...token.generateKek(root), algorithm: 'AES_256', usage: 'wrap', wrappingKey: root });

const message = randomBytes(1_024);
const digest = createHash('sha256').update(message).digest();
const aad = Buffer.alloc(160);
const fresh = (algorithm: 'AES_256' | 'HMAC_SHA_256' | 'EC_P256' | 'RSA_2048', usage: 'encrypt' | 'mac' | 'sign'): KeyHandle => {
  return token.unwrap({ ...token.generateWrapped({ algorithm, wrappingKey: kek }), algorithm, usage, wrappingKey: kek });
};

const aes = fresh('AES_256', 'encrypt');
const iv = randomBytes(12);
const sealed = token.encryptGcm(aes, iv, aad, message);
const hmac = fresh('HMAC_SHA_256', 'mac');
const p256 = fresh('EC_P256', 'sign');
const rsa = fresh('RSA_2048', 'sign');
const ed25519 = token.generateSessionKeyPair('ED25519').privateKey;

let nextMs = await whenAllAreReady();
/** Between two kinds of calls, so that a process whose last call of one ended late is in time for the next. */
const pauseMs = 200;
/** The interval of the next kind of call; the same in every process. */
async function interval(): Promise<number> {
  const fromMs = nextMs;
  const endMs = fromMs + seconds * 1_000;
  nextMs = endMs + pauseMs;
  await untilTime(fromMs);
  return endMs;
}

/** As many as fit one after the other. What a process that began late has missed counts against it. */
async function rateOf(call: () => unknown): Promise<number> {
  const endMs = await interval();
  let calls = 0;
  for (; Date.now() < endMs; calls++) call();
  return calls / seconds;
}

/** As many as fit with `inFlight` at once, on threads. */
async function rateAsync(inFlight: number, call: () => Promise<unknown>): Promise<number> {
  const endMs = await interval();
  let calls = 0;
  const caller = async () => {
    for (; Date.now() < endMs; calls++) await call();
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  return calls / seconds;
}

const rates: TokenRates = {
  'AES-256-GCM encrypt': await rateOf(() => token.encryptGcm(aes, randomBytes(12), aad, message)),
  'AES-256-GCM decrypt': await rateOf(() => token.decryptGcm(aes, iv, aad, sealed)),
  'HMAC-SHA-256': await rateOf(() => token.mac(hmac, message)),
  'ECDSA P-256': await rateOf(() => token.signDigest(p256, 'ES256', digest)),
  Ed25519: await rateOf(() => token.signMessage(ed25519, message)),
  'RSA-2048 PSS': await rateOf(() => token.signDigest(rsa, 'PS256', digest)),
  'RSA-2048 PSS, 4 threads': await rateAsync(4, () => token.signDigestAsync(() => rsa, 'PS256', digest)),
};
await opened.close();
await told(rates);
