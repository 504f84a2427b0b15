import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { initToken, Token } from '@claviger/hsm';
import { createTokens, readMachine, temporaryFolder } from '@claviger/testing';

export const tokenNames = ['softhsm', 'kryoptic'] as const;
export type TokenName = (typeof tokenNames)[number];

export interface OpenedTokens {
  /** In the order in which they are asked. */
  readonly tokens: readonly Token[];
  /** Why a token that was asked for is not among them, and how to get it. */
  readonly missing?: string;
  close(): Promise<void>;
}

/** New, empty tokens, gone at the end: vectors bring their keys along. Each is labelled with the name of its library. */
export async function openFreshTokens(names: readonly TokenName[]): Promise<OpenedTokens> {
  const folder = await temporaryFolder('conformance');
  const tokens: Token[] = [];
  const library = kryopticLibrary();
  if (names.includes('softhsm')) tokens.push(await openSoftHsm(folder.path));
  if (names.includes('kryoptic') && library) tokens.push(await openKryoptic(folder.path, library));
  for (const token of tokens) token.createCanary();
  return {
    tokens,
    ...(names.includes('kryoptic') && !library ? { missing: kryopticIsMissing } : {}),
    close: async () => {
      for (const token of tokens) token.close();
      await folder.remove();
    },
  };
}

/** Both libraries read the variable that names their configuration when they are loaded, which `Token.open` and `initToken` do. */
async function openSoftHsm(folder: string): Promise<Token> {
  const { libraryPath, env, pins } = await createTokens(folder, { labels: ['softhsm'] });
  process.env.SOFTHSM2_CONF = env.SOFTHSM2_CONF;
  return Token.open({ libraryPath, tokenLabel: 'softhsm', pin: pins.softhsm as string });
}

async function openKryoptic(folder: string, libraryPath: string): Promise<Token> {
  const conf = join(folder, 'kryoptic.conf');
  await writeFile(conf, `[[slots]]\nslot = 0\ndbtype = "sqlite"\ndbargs = "${join(folder, 'kryoptic.sql')}"\n`);
  process.env.KRYOPTIC_CONF = conf;
  const [pin, soPin] = [randomBytes(12).toString('base64url'), randomBytes(12).toString('base64url')];
  initToken(libraryPath, { label: 'kryoptic', soPin, pin });
  return Token.open({ libraryPath, tokenLabel: 'kryoptic', pin });
}

export const kryopticIsMissing = 'kryoptic is not here: `npm run setup` builds it where cargo is, or KRYOPTIC_LIBRARY names its library';

export function kryopticLibrary(): string | undefined {
  const path = process.env.KRYOPTIC_LIBRARY || readMachine().kryoptic?.libraryPath;
  return path !== undefined && existsSync(path) ? path : undefined;
}
