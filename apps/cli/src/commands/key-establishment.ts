import { createPublicKey } from 'node:crypto';
import type { KeyWrapAlgorithm } from '@claviger/contracts';
import type { Command } from 'commander';
import { base64url, type Data, deliver, dry, onKey, write } from '../crypto-data';
import { CommandError } from '../exit-codes';
import { assertTarget, readBytes, readText, type SecretTarget } from '../files';
import { online } from '../run';

/** Keys of the caller's own, moved and agreed on with keys of the HSM. */
export function keyEstablishmentCommands(program: Command): void {
  onKey(program, 'wrap-key', 'wrap a key of yours under a key of the HSM; gives base64url')
    .option('--in <file>', 'its bytes; default: standard input')
    .option('--out <file>')
    .option('--algorithm <name>', 'such as A256KW (RFC 3394); default: RFC 5649')
    .action(
      online<Data & { algorithm?: string }, [string]>(async ({ client, options, output }, keyId) => {
        const plaintextKey = await readBytes(options.in);
        const outcome = await client.crypto.wrapKey({ keyId, plaintextKey, ...wrapping(options), ...dry(options) });
        await write(Buffer.from(outcome.wrappedKey), options.out, (text) => output.text(outcome, text));
      }),
    );
  onKey(program, 'unwrap-key', 'the key inside what wrap-key gave')
    .option('--in <file>', 'default: standard input')
    .option('--out <file>')
    .option('--algorithm <name>', 'as with wrap-key')
    .option('--reveal', 'write it to standard output')
    .action(
      online<Data & SecretTarget & { algorithm?: string }, [string]>(async ({ client, options }, keyId) => {
        assertTarget(options);
        const wrappedKey = base64url(await readText(options.in), options.in ?? 'standard input', 'a wrapped key');
        const { plaintextKey } = await client.crypto.unwrapKey({ keyId, wrappedKey, ...wrapping(options), ...dry(options) });
        await deliver(plaintextKey, options);
      }),
    );
  onKey(program, 'derive-shared-secret', "ECDH with another's public key; the raw secret, to be put through a KDF")
    .requiredOption('--public-key <file>', 'of the other side: PEM or DER')
    .option('--out <file>')
    .option('--reveal', 'write it to standard output')
    .action(
      online<Data & SecretTarget & { publicKey: string }, [string]>(async ({ client, options }, keyId) => {
        assertTarget(options);
        const publicKeySpki = spkiIn(await readBytes(options.publicKey), options.publicKey);
        const { sharedSecret } = await client.crypto.deriveSharedSecret({ keyId, publicKeySpki, ...dry(options) });
        await deliver(sharedSecret, options);
      }),
    );
}

const wrapping = ({ algorithm }: { algorithm?: string }) => (algorithm ? { algorithm: algorithm as KeyWrapAlgorithm } : {});

function spkiIn(content: Uint8Array, file: string): Buffer {
  const bytes = Buffer.from(content);
  try {
    const key = createPublicKey(bytes.includes('-----BEGIN') ? bytes : { key: bytes, format: 'der', type: 'spki' });
    return key.export({ format: 'der', type: 'spki' });
  } catch {
    throw new CommandError('badInput', `${file} does not hold a public key`, 'Give a PEM, or the DER of a SubjectPublicKeyInfo.');
  }
}
