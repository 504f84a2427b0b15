import { readFileSync } from 'node:fs';
import { Token } from '../../src/index';

const { mechanism, ...input } = JSON.parse(readFileSync(0, 'utf8')) as Record<string, string> & { mechanism: number };
const bytes = (name: string) => Buffer.from(input[name]!, 'base64url');

const token = Token.open({ libraryPath: input.libraryPath!, tokenLabel: input.tokenLabel!, pin: input.pin!, canary: 'claviger-canary' });
const root = token.findTokenKey('root', 'secret');
const kek = token.unwrap({ wrapped: bytes('kek'), mechanism, algorithm: 'AES_256', wrappingKey: root, usage: 'wrap' });
const data = token.unwrap({ wrapped: bytes('aes'), mechanism, algorithm: 'AES_256', wrappingKey: kek, usage: 'encrypt' });
const signer = token.unwrap({ wrapped: bytes('ec'), mechanism, algorithm: 'EC_P256', wrappingKey: kek, usage: 'sign' });
const plaintext = token.decryptGcm(data, bytes('iv'), bytes('aad'), bytes('ciphertext'));
const signature = token.signDigestP256(signer, bytes('digest'));
token.close();
process.stdout.write(JSON.stringify({ plaintext: plaintext.toString('base64url'), signature: signature.toString('base64url') }));
