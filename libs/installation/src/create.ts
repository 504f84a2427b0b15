import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
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
 * complete is kept. A ceremony that was interrupted before trust.json was written has signed nothing yet, so its tokens are made anew.
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
  for (const part of ['tokens', 'pins']) rmSync(`${folder}/${part}`, { recursive: true, force: true });
  return { place, identities, trust: holdCeremony({ place, libraryPath, origin, report }) };
}
