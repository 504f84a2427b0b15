import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '@claviger/client';
import { type KeyDescription, WrappingAlgorithm, type WrappingKeySpec } from '@claviger/contracts';
import type { Command } from 'commander';
import { deliver } from '../crypto-data';
import { CommandError } from '../exit-codes';
import { assertTarget, readBytes, readText, type SecretTarget, writeBytes, writePrivately } from '../files';
import { importCommands, opensslCommands, unwrapMaterial, wrapMaterial } from '../material-wrapping';
import { timestamp, wholeNumber } from '../pairs';
import { offline, online } from '../run';
import { tellChange } from './key-summary';

const usual = 'RSA_AES_KEY_WRAP_SHA_256';
const algorithms = WrappingAlgorithm.options.join(', ');

/** Keys that were made elsewhere, and keys that go there. */
export function keyTransportCommands(keys: Command): void {
  keys
    .command('import-parameters <key>')
    .description(
      'a public key to wrap the material of an external key with, and the token to import it with; for one import within 24 hours',
    )
    .requiredOption('--out <folder>', 'for wrapping-key.pem and import-token; it is made')
    .option('--wrapping-algorithm <name>', algorithms, usual)
    .option('--wrapping-key <spec>', 'RSA_2048, RSA_3072 or RSA_4096', 'RSA_3072')
    .action(
      online<{ out: string; wrappingAlgorithm: string; wrappingKey: string }, [string]>(async ({ client, options, output }, keyId) => {
        const { out } = options;
        const wrappingAlgorithm = options.wrappingAlgorithm as WrappingAlgorithm;
        const wrappingKeySpec = options.wrappingKey as WrappingKeySpec;
        const offer = await client.keys.importParameters({ keyId, wrappingAlgorithm, wrappingKeySpec });
        mkdirSync(out, { recursive: true, mode: 0o700 });
        const { publicKeySpki, importToken, expiresAt } = offer;
        const pem = createPublicKey({ key: Buffer.from(publicKeySpki), format: 'der', type: 'spki' }).export({
          format: 'pem',
          type: 'spki',
        });
        writePrivately(join(out, 'wrapping-key.pem'), String(pem));
        writePrivately(join(out, 'import-token'), `${importToken}\n`);
        const commands = opensslCommands(wrappingAlgorithm, out);
        output.fields(
          {
            keyId,
            wrappingAlgorithm,
            expiresAt,
            wrappingKey: join(out, 'wrapping-key.pem'),
            token: join(out, 'import-token'),
            openssl: commands,
          },
          {
            key: keyId,
            'wrapping algorithm': wrappingAlgorithm,
            'good until': expiresAt,
            files: `${out}/wrapping-key.pem, ${out}/import-token`,
          },
        );
        const about = await describedIfAllowed(client, keyId);
        const [wrap, ...send] = importCommands({ keyId, folder: out, algorithm: wrappingAlgorithm }, about);
        output.note(
          ['Wrap the material (a private key as PKCS#8, DER):', wrap, 'or with openssl 3:', ...commands, 'Then:', ...send].join('\n'),
        );
      }),
    );
  keys
    .command('wrap-material')
    .description('wrap a key with the public key of import parameters; needs no connection')
    .requiredOption('--public-key <file>', 'PEM or DER')
    .option('--material <file>', 'the key: raw bytes, or PKCS#8 (PEM or DER) of a private one; default: standard input')
    .requiredOption('--out <file>')
    .option('--wrapping-algorithm <name>', algorithms, usual)
    .action(
      offline<{ publicKey: string; material?: string; out: string; wrappingAlgorithm: string }>(async ({ options, output }) => {
        const publicKey = rsaKey(options.publicKey, await readBytes(options.publicKey), 'public');
        const given = Buffer.from(await readBytes(options.material));
        const material = bare(given);
        try {
          await writeBytes(options.out, wrapMaterial(publicKey, algorithmIn(options.wrappingAlgorithm), material));
        } finally {
          for (const secret of [given, material]) secret.fill(0);
        }
        output.note(`${options.out} can be sent: only the HSM opens it`);
      }),
    );
  keys
    .command('import-material <key>')
    .description('give an external key its material, the same again after that expired or was deleted, or another as its new version')
    .requiredOption('--wrapped <file>', 'what was wrapped with the public key of its import parameters')
    .requiredOption('--token <file>', 'the import token')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .option('--new-version', 'rotate the key: the material is another one')
    .option('--key-version <n>', 'which version gets its material again (default: the primary one)')
    .option('--expires-at <time>', 'RFC 3339; the material is destroyed then (default: never)')
    .option('--prior-encryptions <n>', 'how often it has encrypted by AES-GCM elsewhere; to be said of an AES key that encrypts')
    .option('--public-key <file>', 'of the pair, PEM or DER; needed for Ed25519')
    .action(
      online<
        { wrapped: string; token: string; reason: string; newVersion?: boolean } & Partial<
          Record<'keyVersion' | 'expiresAt' | 'priorEncryptions' | 'publicKey', string>
        >,
        [string]
      >(async ({ client, options, output }, keyId) => {
        const { keyVersion, expiresAt, priorEncryptions, publicKey } = options;
        const outcome = await client.keys.importMaterial({
          keyId,
          wrappedMaterial: await readBytes(options.wrapped),
          importToken: await readText(options.token),
          reason: options.reason,
          newVersion: options.newVersion ?? false,
          ...(keyVersion === undefined ? {} : { version: wholeNumber('--key-version', keyVersion) as number }),
          ...(expiresAt === undefined ? {} : { expiresAt: timestamp('--expires-at', expiresAt) }),
          ...(priorEncryptions === undefined ? {} : { priorEncryptions: wholeNumber('--prior-encryptions', priorEncryptions) as number }),
          ...(publicKey === undefined ? {} : { publicKeySpki: spkiOf(keyIn(publicKey, await readBytes(publicKey), 'public')) }),
        });
        tellChange(output, outcome);
      }),
    );
  keys
    .command('delete-material <key>')
    .description('destroy the imported material of a version at once; the same can be imported again')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .option('--key-version <n>', 'default: the primary one')
    .action(
      online<{ reason: string; keyVersion?: string }, [string]>(async ({ client, options: { reason, keyVersion }, output }, keyId) => {
        const version = keyVersion === undefined ? {} : { version: wholeNumber('--key-version', keyVersion) as number };
        tellChange(output, await client.keys.deleteMaterial({ keyId, reason, ...version }));
      }),
    );
  keys
    .command('export <key>')
    .description('the material of a key that was made exportable, wrapped for a recipient')
    .option('--recipient <file>', 'its RSA public key of 2048 bits or more, PEM or DER')
    .option('--recipient-key <key>', 'or a key to wrap here')
    .requiredOption('--out <file>')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .option('--wrapping-algorithm <name>', algorithms, usual)
    .option('--key-version <n>', 'default: the primary one')
    .action(
      online<
        { out: string; reason: string; wrappingAlgorithm: string } & Partial<Record<'recipient' | 'recipientKey' | 'keyVersion', string>>,
        [string]
      >(async ({ client, options, output }, keyId) => {
        const { recipient: file, recipientKey, reason, keyVersion, out } = options;
        if ((file === undefined) === (recipientKey === undefined))
          throw new CommandError('usage', 'Say whom it is for', 'Give --recipient FILE or --recipient-key KEY.');
        const recipient =
          file === undefined
            ? { keyId: recipientKey as string }
            : {
                publicKeySpki: spkiOf(rsaKey(file, await readBytes(file), 'public')),
                wrappingAlgorithm: algorithmIn(options.wrappingAlgorithm),
              };
        const version = keyVersion === undefined ? {} : { version: wholeNumber('--key-version', keyVersion) as number };
        const outcome = await client.keys.export({ keyId, recipient, reason, ...version });
        await writeBytes(out, outcome.wrappedMaterial);
        output.fields(outcome, {
          key: keyId,
          version: outcome.version,
          algorithm: outcome.algorithm,
          'wrapping algorithm': outcome.wrappingAlgorithm,
          recipient: outcome.recipient,
          file: out,
        });
      }),
    );
  keys
    .command('unwrap-material')
    .description('open what keys export gave, with the private key of the recipient; needs no connection')
    .requiredOption('--private-key <file>', 'RSA, PEM or DER (PKCS#8)')
    .option('--wrapped <file>', 'default: standard input')
    .option('--wrapping-algorithm <name>', algorithms, usual)
    .option('--out <file>')
    .option('--reveal', 'write it to standard output')
    .action(
      offline<SecretTarget & { privateKey: string; wrapped?: string; wrappingAlgorithm: string }>(async ({ options }) => {
        assertTarget(options);
        const content = Buffer.from(await readBytes(options.privateKey));
        const privateKey = rsaKey(options.privateKey, content, 'private');
        content.fill(0);
        const wrapped = Buffer.from(await readBytes(options.wrapped));
        const material = unwrapMaterial(privateKey, algorithmIn(options.wrappingAlgorithm), wrapped);
        try {
          await deliver(material, options);
        } finally {
          material.fill(0);
        }
      }),
    );
}

/** For the text that is printed only: the parameters are made, whatever comes of this. */
const describedIfAllowed = (client: Client, keyId: string): Promise<KeyDescription | undefined> =>
  client.keys.describe({ keyId }).catch(() => undefined);

function algorithmIn(text: string): WrappingAlgorithm {
  const parsed = WrappingAlgorithm.safeParse(text);
  if (!parsed.success) throw new CommandError('usage', `--wrapping-algorithm is one of ${algorithms}`);
  return parsed.data;
}

/** A private key in PEM becomes its DER; what is not PEM is taken as it is. */
function bare(given: Buffer): Buffer {
  if (!given.subarray(0, 11).equals(Buffer.from('-----BEGIN '))) return given;
  try {
    return createPrivateKey(given).export({ format: 'der', type: 'pkcs8' });
  } catch {
    throw new CommandError('badInput', 'The material is PEM and no private key that is not encrypted');
  }
}

function rsaKey(file: string, content: Uint8Array, half: 'public' | 'private'): KeyObject {
  const key = keyIn(file, content, half);
  if (key.asymmetricKeyType !== 'rsa') throw new CommandError('badInput', `${file} holds no RSA ${half} key`);
  return key;
}

function keyIn(file: string, content: Uint8Array, half: 'public' | 'private'): KeyObject {
  const bytes = Buffer.from(content);
  const isPem = bytes.subarray(0, 11).equals(Buffer.from('-----BEGIN '));
  try {
    if (half === 'public') return createPublicKey(isPem ? bytes : { key: bytes, format: 'der', type: 'spki' });
    return createPrivateKey(isPem ? bytes : { key: bytes, format: 'der', type: 'pkcs8' });
  } catch {
    throw new CommandError('badInput', `${file} holds no ${half} key`);
  }
}

const spkiOf = (key: KeyObject): Uint8Array => new Uint8Array(key.export({ format: 'der', type: 'spki' }));
