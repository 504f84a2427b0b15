// A service's first minutes: node tools/build.mjs docs/examples/first-service.ts && node dist/docs/examples/first-service.js KEY_ID
import { readFile } from 'node:fs/promises';
import { ClavigerError, connect } from '@claviger/client';

const [keyId = ''] = process.argv.slice(2);
await using claviger = await connect({
  servers: process.env.CLAVIGER_URL ?? '',
  principal: process.env.CLAVIGER_PRINCIPAL ?? '',
  // Asked once; from then on the library renews its token over its own connection.
  credential: { token: () => readFile(process.env.CLAVIGER_TOKEN_FILE ?? '', 'utf8') },
});

const context = { tenant: 'acme', purpose: 'card-archive' }; // bound to the ciphertext, recorded in clear: no secrets in it
const { ciphertext, receipt } = await claviger.crypto.encrypt({ keyId, plaintext: Buffer.from('4111 1111 1111 1111'), context });
console.log('ciphertext (JWE) ', ciphertext);
console.log('receipt          ', receipt);

const { plaintext } = await claviger.crypto.decrypt({ keyId, ciphertext, context });
console.log('decrypted        ', Buffer.from(plaintext).toString());

try {
  await claviger.crypto.decrypt({ keyId, ciphertext, context: { ...context, tenant: 'other' } });
} catch (error) {
  if (!(error instanceof ClavigerError)) throw error;
  console.log('another tenant   ', error.code, error.retryable ? 'retryable' : 'final', error.next);
}

// Anything larger than 64 KiB: a data key comes once, the bytes stay here.
const sealed = await claviger.seal(keyId, Buffer.alloc(1_000_000, 7), { context });
console.log('sealed           ', sealed.length, 'characters;', (await claviger.open(keyId, sealed, { context })).length, 'bytes came back');
