import type { PairAlgorithm, SignatureScheme } from '@claviger/contracts';
import type { Command } from 'commander';
import { context, type Data, deliver, dry, onKey, readBase64url, write } from '../crypto-data';
import { Finding } from '../exit-codes';
import { assertTarget, readBytes, readStream, readText, type SecretTarget, toStandardOutput, writeBytes, writeWhole } from '../files';
import { pairs, wholeNumber } from '../pairs';
import { collect, online } from '../run';

interface Signing {
  algorithm?: string;
  der?: boolean;
}
const scheme = ({ algorithm, der }: Signing) => ({
  ...(algorithm ? { algorithm: algorithm as SignatureScheme } : {}),
  ...(der ? { encoding: 'der' as const } : {}),
});

/** Use of keys. Data comes from --in or standard input; secret results go to --out, or to the screen with --reveal. */
export function cryptoCommands(program: Command): void {
  const use = (name: string, summary: string) => onKey(program, name, summary);
  const withData = (name: string, summary: string) =>
    use(name, summary).option('--in <file>', 'default: standard input').option('--out <file>');
  const bound = (name: string, summary: string) =>
    withData(name, summary).option('--context <name=value>', 'encryption context; may be repeated', collect);
  bound('encrypt', 'encrypt up to 64 KiB in the HSM; gives a JWE').action(
    online<Data, [string]>(async ({ client, options, output }, keyId) => {
      const plaintext = await readBytes(options.in);
      const outcome = await client.crypto.encrypt({ keyId, plaintext, ...context(options), ...dry(options) });
      if (options.out !== undefined) await writeBytes(options.out, Buffer.from(outcome.ciphertext));
      else output.text(outcome, outcome.ciphertext);
    }),
  );
  bound('decrypt', 'decrypt what encrypt gave')
    .option('--reveal', 'print the plaintext')
    .action(
      online<Data & SecretTarget, [string]>(async ({ client, options }, keyId) => {
        assertTarget(options);
        const ciphertext = await readText(options.in);
        const { plaintext } = await client.crypto.decrypt({ keyId, ciphertext, ...context(options), ...dry(options) });
        await deliver(plaintext, options);
      }),
    );
  bound('re-encrypt', 'bring what encrypt gave under the newest version, another key or another context, inside the HSM')
    .option('--to-key <key>', 'default: the same key')
    .option('--to-context <name=value>', 'default: the same context; may be repeated', collect)
    .action(
      online<Data & { toKey?: string; toContext?: string[] }, [string]>(async ({ client, options, output }, keyId) => {
        const to = pairs('to-context', options.toContext);
        const outcome = await client.crypto.reEncrypt({
          keyId,
          ciphertext: await readText(options.in),
          ...context(options),
          ...(options.toKey ? { toKeyId: options.toKey } : {}),
          ...(to ? { toContext: to } : {}),
          ...dry(options),
        });
        if (options.out !== undefined) await writeBytes(options.out, Buffer.from(outcome.ciphertext));
        else output.text(outcome, outcome.ciphertext);
      }),
    );
  withData('sign', 'signature of a file, in base64url; ECDSA as r||s')
    .option('--algorithm <name>', 'such as PS256; default: the usual one of the key')
    .option('--der', 'an ECDSA signature as DER, as OpenSSL has it')
    .action(
      online<Data & Signing, [string]>(async ({ client, options, output }, keyId) => {
        const outcome = await client.crypto.sign({ keyId, message: await readBytes(options.in), ...scheme(options), ...dry(options) });
        await write(Buffer.from(outcome.signature), options.out, (text) => output.text(outcome, text));
      }),
    );
  use('verify', 'verify a signature; exit 1 when it is not valid')
    .option('--in <file>', 'what was signed; default: standard input')
    .requiredOption('--signature-file <file>', 'what sign gave')
    .option('--algorithm <name>', 'as with sign')
    .option('--der', 'as with sign')
    .action(
      online<Data & Signing & { signatureFile: string }, [string]>(async ({ client, options, output }, keyId) => {
        const signature = await readBase64url(options.signatureFile, 'a signature');
        const message = await readBytes(options.in);
        const outcome = await client.crypto.verify({ keyId, message, signature, ...scheme(options), ...dry(options) });
        output.text(outcome, outcome.valid ? `valid (version ${outcome.version})` : 'NOT VALID');
        if (!outcome.valid) throw new Finding('The signature is not valid');
      }),
    );
  withData('mac', 'HMAC of a file, in base64url').action(
    online<Data, [string]>(async ({ client, options, output }, keyId) => {
      const outcome = await client.crypto.generateMac({ keyId, message: await readBytes(options.in), ...dry(options) });
      await write(Buffer.from(outcome.mac), options.out, (text) => output.text(outcome, text));
    }),
  );
  use('verify-mac', 'verify an HMAC; exit 1 when it is not valid')
    .option('--in <file>', 'default: standard input')
    .requiredOption('--mac-file <file>', 'what mac gave')
    .action(
      online<Data & { macFile: string }, [string]>(async ({ client, options, output }, keyId) => {
        const mac = await readBase64url(options.macFile, 'a MAC');
        const outcome = await client.crypto.verifyMac({ keyId, message: await readBytes(options.in), mac, ...dry(options) });
        output.text(outcome, outcome.valid ? `valid (version ${outcome.version})` : 'NOT VALID');
        if (!outcome.valid) throw new Finding('The MAC is not valid');
      }),
    );
  use('public-key', 'public half of a key pair, as PEM; with --json also as JWK')
    .option('--key-version <n>', 'default: the newest')
    .option('--out <file>')
    .action(
      online<Data & { keyVersion?: string }, [string]>(async ({ client, options, output }, keyId) => {
        const version = wholeNumber('--key-version', options.keyVersion);
        const outcome = await client.crypto.getPublicKey({ keyId, version, ...dry(options) });
        if (options.out !== undefined) await writeBytes(options.out, Buffer.from(outcome.pem));
        else output.text(outcome, outcome.pem.trimEnd());
      }),
    );
  use('data-key-pair', 'new key pair: private half as a JWE under the key, public half as PEM')
    .option('--context <name=value>', 'encryption context; may be repeated', collect)
    .option('--algorithm <algorithm>', 'such as EC_P256 or RSA_3072', 'EC_P256')
    .requiredOption('--out <file>', 'the encrypted private half; decrypt gives it as PKCS#8')
    .requiredOption('--public-out <file>', 'the public half, DER')
    .action(
      online<Data & { algorithm: string; publicOut: string }, [string]>(async ({ client, options, output }, keyId) => {
        const { publicKeySpki, ...outcome } = await client.crypto.generateDataKeyPair({
          keyId,
          algorithm: options.algorithm as PairAlgorithm,
          ...context(options),
          ...dry(options),
        });
        await writeBytes(options.publicOut, publicKeySpki);
        await writeBytes(options.out as string, Buffer.from(outcome.ciphertext));
        output.text(outcome, `written: ${options.out}, ${options.publicOut}`);
      }),
    );
  const streamed = (name: string, summary: string) =>
    program
      .command(`${name} <key>`)
      .description(summary)
      .option('--in <file>', 'default: standard input')
      .option('--out <file>')
      .option('--context <name=value>', 'encryption context; may be repeated', collect);
  streamed('seal', 'seal data of any size under a data key (envelope encryption)').action(
    online<Data, [string]>(async ({ client, options }, keyId) => {
      const sealed = client.sealStream(keyId, await readStream(options.in), context(options));
      await (options.out === undefined ? toStandardOutput(sealed) : writeWhole(options.out, sealed));
    }),
  );
  streamed('open', 'open what seal gave; the file gets its name only when all of it is proved')
    .option('--reveal', 'write to standard output as it is proved; take nothing as whole before exit 0')
    .action(
      online<Data & SecretTarget, [string]>(async ({ client, options }, keyId) => {
        assertTarget(options);
        const opened = client.openStream(keyId, await readStream(options.in), context(options));
        await (options.out === undefined ? toStandardOutput(opened) : writeWhole(options.out, opened));
      }),
    );
  program
    .command('random <bytes>')
    .description('random bytes of the HSM')
    .option('--out <file>')
    .option('--reveal', 'print them, in hexadecimal')
    .action(
      online<SecretTarget, [string]>(async ({ client, options, output }, count) => {
        assertTarget(options);
        const outcome = await client.crypto.generateRandom({ bytes: wholeNumber('<bytes>', count) ?? 0 });
        if (options.out !== undefined) await writeBytes(options.out, outcome.random);
        else output.text(outcome, Buffer.from(outcome.random).toString('hex'));
      }),
    );
}
