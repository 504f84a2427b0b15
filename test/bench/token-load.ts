// What one process gets from a token, a process of its own: node token-load.js SECONDS. Prints calls a second of each kind as JSON.
import { createHash, randomBytes } from 'node:crypto';
import { type KeyHandle, Token } from '@claviger/hsm';
import { createTokens, temporaryFolder } from '@claviger/testing';

/** Calls a second, by what was called. */
export type TokenRates = Record<string, number>;

const seconds = Number(process.argv[2]);
const folder = await temporaryFolder('token-load');
const { libraryPath, env, pins } = await createTokens(folder.path, { labels: ['bench'] });
// The library reads it when it is loaded, which is below.
process.env.SOFTHSM2_CONF = env.SOFTHSM2_CONF;
const token = Token.open({ libraryPath, tokenLabel: 'bench', pin: pins.bench as string });
token.createCanary();
token.generateRootKey('root');
const root = token.findTokenKey('root', 'secret');
const kek = token.unwrap({ ...token.generateKek(root), algorithm: 'AES_256', usage: 'wrap', wrappingKey: root });

const message = randomBytes(1_024);
const digest = createHash('sha256').update(message).digest();
const aad = Buffer.alloc(160);
const fresh = (algorithm: 'AES_256' | 'HMAC_SHA_256' | 'EC_P256' | 'RSA_2048', usage: 'encrypt' | 'mac' | 'sign'): KeyHandle => {
  return token.unwrap({ ...token.generateWrapped({ algorithm, wrappingKey: kek }), algorithm, usage, wrappingKey: kek });
};

/** As many as fit one after the other. */
function rateOf(call: () => unknown): number {
  const began = performance.now();
  let calls = 0;
  for (; performance.now() - began < seconds * 1_000; calls++) call();
  return calls / ((performance.now() - began) / 1_000);
}

/** As many as fit with `inFlight` at once, on threads. */
async function rateAsync(inFlight: number, call: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  let calls = 0;
  const caller = async () => {
    for (; performance.now() - began < seconds * 1_000; calls++) await call();
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  return calls / ((performance.now() - began) / 1_000);
}

const aes = fresh('AES_256', 'encrypt');
const iv = randomBytes(12);
const sealed = token.encryptGcm(aes, iv, aad, message);
const hmac = fresh('HMAC_SHA_256', 'mac');
const p256 = fresh('EC_P256', 'sign');
const rsa = fresh('RSA_2048', 'sign');
const ed25519 = token.generateSessionKeyPair('ED25519').privateKey;
const rates: TokenRates = {
  'AES-256-GCM encrypt': rateOf(() => token.encryptGcm(aes, randomBytes(12), aad, message)),
  'AES-256-GCM decrypt': rateOf(() => token.decryptGcm(aes, iv, aad, sealed)),
  'HMAC-SHA-256': rateOf(() => token.mac(hmac, message)),
  'ECDSA P-256': rateOf(() => token.signDigest(p256, 'ES256', digest)),
  Ed25519: rateOf(() => token.signMessage(ed25519, message)),
  'RSA-2048 PSS': rateOf(() => token.signDigest(rsa, 'PS256', digest)),
  'RSA-2048 PSS, 4 threads': await rateAsync(4, () => token.signDigestAsync(() => rsa, 'PS256', digest)),
};
token.close();
await folder.remove();
console.log(JSON.stringify(rates));
