import { createPublicKey } from 'node:crypto';
import type { KeyWrapAlgorithm } from '@claviger/contracts';
import type { Command } from 'commander';
import { base64url, type Data, deliver, dry, onKey, write } from '../crypto-data';
import { CommandError } from '../exit-codes';
import { assertTarget, readBytes, readText, type SecretTarget, writeBytes } from '../files';
import { wholeNumber } from '../pairs';
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
  onKey(program, 'encapsulate', 'a new shared secret (ML-KEM), and the ciphertext from which only the holder of the key has it too')
    .requiredOption('--ciphertext-out <file>', 'for the other side')
    .option('--out <file>', 'for the secret')
    .option('--reveal', 'write the secret to standard output')
    .action(
      online<Data & SecretTarget & { ciphertextOut: string }, [string]>(async ({ client, options, output }, keyId) => {
        assertTarget(options);
        const { kemCiphertext, sharedSecret, version } = await client.crypto.encapsulate({ keyId, ...dry(options) });
        await writeBytes(options.ciphertextOut, Buffer.from(`${Buffer.from(kemCiphertext).toString('base64url')}\n`));
        await deliver(sharedSecret, options);
        output.note(`made under version ${version} of the key: decapsulate has to name it`);
      }),
    );
  onKey(program, 'decapsulate', 'the shared secret that encapsulate made')
    .requiredOption('--key-version <n>', 'that it was made under: another version would give another secret, and no error')
    .option('--in <file>', 'the ciphertext in base64url; default: standard input')
    .option('--out <file>')
    .option('--reveal', 'write it to standard output')
    .action(
      online<Data & SecretTarget & { keyVersion: string }, [string]>(async ({ client, options }, keyId) => {
        assertTarget(options);
        const kemCiphertext = base64url(await readText(options.in), options.in ?? 'standard input', 'a ciphertext');
        const version = wholeNumber('--key-version', options.keyVersion) as number;
        const { sharedSecret } = await client.crypto.decapsulate({ keyId, version, kemCiphertext, ...dry(options) });
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
