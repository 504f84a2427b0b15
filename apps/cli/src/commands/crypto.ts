import type { Command } from 'commander';
import { CommandError, Finding } from '../exit-codes';
import { assertTarget, readBytes, readStream, readText, type SecretTarget, toStandardOutput, writeBytes, writeWhole } from '../files';
import { pairs, wholeNumber } from '../pairs';
import { collect, online } from '../run';

interface Data {
  in?: string;
  out?: string;
  context?: string[];
}
const context = (options: Data) => {
  const given = pairs('context', options.context);
  return given ? { context: given } : {};
};

/** Use of keys. Data comes from --in or standard input; secret results go to --out, or to the screen with --reveal. */
export function cryptoCommands(program: Command): void {
  const onKey = (name: string, summary: string, bound = true) => {
    const command = program
      .command(`${name} <key>`)
      .description(summary)
      .option('--in <file>', 'default: standard input')
      .option('--out <file>');
    return bound ? command.option('--context <name=value>', 'encryption context; may be repeated', collect) : command;
  };
  onKey('encrypt', 'encrypt up to 64 KiB in the HSM; gives a JWE').action(
    online<Data, [string]>(async ({ client, options, output }, keyId) => {
      const outcome = await client.crypto.encrypt({ keyId, plaintext: await readBytes(options.in), ...context(options) });
      if (options.out !== undefined) await writeBytes(options.out, Buffer.from(outcome.ciphertext));
      else output.text(outcome, outcome.ciphertext);
    }),
  );
  onKey('decrypt', 'decrypt what encrypt gave')
    .option('--reveal', 'print the plaintext')
    .action(
      online<Data & SecretTarget, [string]>(async ({ client, options }, keyId) => {
        assertTarget(options);
        const { plaintext } = await client.crypto.decrypt({ keyId, ciphertext: await readText(options.in), ...context(options) });
        await deliver(plaintext, options);
      }),
    );
  onKey('sign', 'ES256 signature (r||s, base64url) of a file', false).action(
    online<Data, [string]>(async ({ client, options, output }, keyId) => {
      const outcome = await client.crypto.sign({ keyId, message: await readBytes(options.in) });
      const text = Buffer.from(outcome.signature).toString('base64url');
      if (options.out !== undefined) await writeBytes(options.out, Buffer.from(`${text}\n`));
      else output.text(outcome, text);
    }),
  );
  program
    .command('verify <key>')
    .description('verify a signature; exit 1 when it is not valid')
    .option('--in <file>', 'what was signed; default: standard input')
    .requiredOption('--signature-file <file>', 'what sign gave')
    .action(
      online<Data & { signatureFile: string }, [string]>(async ({ client, options, output }, keyId) => {
        const signature = Buffer.from(await readText(options.signatureFile), 'base64url');
        if (signature.length !== 64) throw new CommandError('badInput', `${options.signatureFile} does not hold a signature`);
        const outcome = await client.crypto.verify({ keyId, message: await readBytes(options.in), signature });
        output.text(outcome, outcome.valid ? `valid (version ${outcome.version})` : 'NOT VALID');
        if (!outcome.valid) throw new Finding('The signature is not valid');
      }),
    );
  onKey('seal', 'seal data of any size under a data key (envelope encryption)').action(
    online<Data, [string]>(async ({ client, options }, keyId) => {
      const sealed = client.sealStream(keyId, await readStream(options.in), context(options));
      await (options.out === undefined ? toStandardOutput(sealed) : writeWhole(options.out, sealed));
    }),
  );
  onKey('open', 'open what seal gave; the file gets its name only when all of it is proved')
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

async function deliver(secret: Uint8Array, { out }: SecretTarget): Promise<void> {
  if (out !== undefined) return writeBytes(out, secret);
  await toStandardOutput(
    (async function* () {
      yield secret;
    })(),
  );
}
