import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Trust } from '@claviger/contracts';
import type { BrokerIdentities } from '@claviger/messaging';
import { createBrokerSecrets } from './broker-secrets';
import { holdCeremony } from './ceremony';
import { layout } from './layout';

export interface Installation {
  place: ReturnType<typeof layout>;
  identities: BrokerIdentities;
  trust: Trust;
}

/**
 * Everything that an installation needs before its first start: broker identities, tokens with their keys, trust.json. Idempotent: what is
 * complete is kept. A ceremony that was interrupted has signed nothing yet, so its tokens are made anew; but only a ceremony that said that it had
 * begun. Tokens without trust.json and without that are an installation that lost a file: throws, since a root that is gone takes every key along.
 */
export function createInstallation(options: {
  folder: string;
  libraryPath: string;
  origin?: string;
  report?: (line: string) => void;
}): Installation {
  const { folder, libraryPath, origin = 'claviger.local/ledger', report = () => undefined } = options;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const place = layout(folder);
  const identities = createBrokerSecrets(place);
  if (existsSync(place.trustFile)) return { place, identities, trust: Trust.parse(JSON.parse(readFileSync(place.trustFile, 'utf8'))) };
  if (existsSync(place.begunFile)) {
    report('an interrupted ceremony is begun anew');
    for (const part of [place.tokens, place.pins]) rmSync(part, { recursive: true, force: true });
  } else if (existsSync(place.tokens))
    throw new Error(
      `${place.trustFile} is not there, but ${place.tokens} is: restore it from a backup. Nothing here replaces keys that may be in use`,
    );
  writeFileSync(place.begunFile, '');
  return { place, identities, trust: holdCeremony({ place, libraryPath, origin, report }) };
}
