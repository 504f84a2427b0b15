// Unwraps one key of every algorithm in a process of its own, uses each, and says what they gave and what they are.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Algorithm, type DigestScheme, HsmError, type KeyUsage, schemesOf, Token } from '../../src/index';
import { template } from '../../src/templates';

interface Given {
  algorithm: Algorithm;
  usage: KeyUsage;
  wrapped: string;
  /** The public half, with which a key to agree agrees with itself. */
  spki?: string;
}
const { kek, mechanism, keys, ...fresh } = JSON.parse(readFileSync(0, 'utf8')) as {
  libraryPath: string;
  tokenLabel: string;
  pin: string;
  kek: string;
  mechanism: number;
  keys: Given[];
};
const token = Token.open({ ...fresh, canary: 'claviger-canary' });
const connection = Token.connectionOf(token);
const wrappingKey = token.unwrap({
  ...{ wrapped: Buffer.from(kek, 'base64url'), mechanism, algorithm: 'AES_256', usage: 'wrap' },
  wrappingKey: token.findTokenKey('root', 'secret'),
});
const message = Buffer.from('used elsewhere');
const flagsOf = (object: Buffer, names: string[]) => {
  const wanted = template(Object.fromEntries(names.map((name) => [name, undefined])));
  const read = connection.call('read', (p11, { objects }) => p11.C_GetAttributeValue(objects, object, wanted));
  return names.filter((_, index) => read[index]!.value[0] === 1).join(' ');
};
const widened = (object: Buffer) => {
  try {
    connection.p11.C_SetAttributeValue(connection.ready().objects, object, template({ CKA_EXTRACTABLE: true }));
    return 'widened';
  } catch {
    return 'refused';
  }
};
const shared = [
  'CKA_EXTRACTABLE',
  'CKA_SENSITIVE',
  'CKA_MODIFIABLE',
  'CKA_COPYABLE',
  'CKA_DECRYPT',
  'CKA_UNWRAP',
  'CKA_SIGN',
  'CKA_DERIVE',
];

const results: Record<string, { result: string; flags: string; widened: string }> = {};
for (const { algorithm, usage, wrapped, spki = '' } of keys) {
  const key = token.unwrap({ wrapped: Buffer.from(wrapped, 'base64url'), mechanism, algorithm, wrappingKey, usage });
  const names = algorithm.startsWith('AES') || algorithm.startsWith('HMAC') ? [...shared, 'CKA_ENCRYPT', 'CKA_WRAP', 'CKA_VERIFY'] : shared;
  const scheme = schemesOf(algorithm)[0] as DigestScheme;
  let result: string;
  try {
    const bytes =
      usage === 'encrypt'
        ? token.encryptGcm(key, Buffer.alloc(12), message, message)
        : usage === 'mac'
          ? token.mac(key, message)
          : usage === 'wrap'
            ? token.generateWrapped({ algorithm: 'AES_128', wrappingKey: key }).wrapped
            : usage === 'agree'
              ? token.deriveSharedSecret(key, Buffer.from(spki, 'base64url'))
              : await token.signDigestAsync(
                  () => key,
                  scheme,
                  createHash(`sha${scheme.slice(2, 5)}`)
                    .update(message)
                    .digest(),
                );
    result = bytes.toString('base64url');
  } catch (error) {
    result = error instanceof HsmError ? error.code : String(error);
  }
  results[`${algorithm} ${usage}`] = { result, flags: flagsOf(key.object, names), widened: widened(key.object) };
}
token.close();
process.stdout.write(JSON.stringify(results));
