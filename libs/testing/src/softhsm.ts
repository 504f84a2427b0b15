import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { tokenKeyLabels } from '@claviger/hsm';
import { runCommand } from './children';
import { readMachine } from './machine';
import { workspaceRoot } from './workspace';

export interface Tokens {
  readonly dir: string;
  readonly libraryPath: string;
  /** For the environment of each process that loads the library; too late inside a process that runs already. */
  readonly env: { readonly SOFTHSM2_CONF: string; readonly PKCS11_LIBRARY: string };
  /** User PIN by token label. */
  readonly pins: Readonly<Record<string, string>>;
  readonly soPins: Readonly<Record<string, string>>;
}

export interface CreateTokensOptions {
  /** Default: every token that Claviger has (`tokenKeyLabels` of libs/hsm). */
  readonly labels?: readonly string[];
  readonly libraryPath?: string;
}

const randomPin = () => randomBytes(12).toString('base64url');

/**
 * Makes empty, initialised SoftHSM tokens with random PINs in `dir`. They hold no keys: that is the ceremony's work.
 * @throws when `dir` holds tokens already: they may be in use
 */
export async function createTokens(
  dir: string,
  { labels = Object.keys(tokenKeyLabels), libraryPath = readMachine().pkcs11.libraryPath }: CreateTokensOptions = {},
): Promise<Tokens> {
  const folder = resolve(dir);
  const tokenDir = join(folder, 'tokens');
  if (existsSync(tokenDir)) throw new Error(`${tokenDir} exists: these tokens may be in use`);
  await mkdir(tokenDir, { recursive: true, mode: 0o700 });
  const conf = join(folder, 'softhsm2.conf');
  await writeFile(conf, `directories.tokendir = ${tokenDir}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n`);
  const tokens = labels.map((label) => ({ label, pin: randomPin(), soPin: randomPin() }));
  const env = { SOFTHSM2_CONF: conf, PKCS11_LIBRARY: libraryPath };
  const root = workspaceRoot();
  try {
    await runCommand(process.execPath, [join(root, 'libs/testing/src/init-tokens.mjs')], {
      cwd: root,
      env: { ...process.env, ...env },
      input: JSON.stringify({ libraryPath, tokens }),
    });
  } catch (cause) {
    await rm(tokenDir, { recursive: true, force: true });
    throw new Error(`no tokens could be made with ${libraryPath}`, { cause });
  }
  const by = (field: 'pin' | 'soPin') => Object.fromEntries(tokens.map((token) => [token.label, token[field]]));
  return { dir: folder, libraryPath, env, pins: by('pin'), soPins: by('soPin') };
}
