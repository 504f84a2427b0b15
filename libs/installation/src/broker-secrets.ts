import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { type BrokerIdentities, createBrokerIdentities } from '@claviger/messaging';
import type { layout } from './layout';
import { writeSecret } from './secret-file';

/** Nkeys of all users of the broker: seeds into files of their own, public halves into one. Kept when they are there. */
export function createBrokerSecrets(place: ReturnType<typeof layout>): BrokerIdentities {
  if (existsSync(place.identitiesFile)) return JSON.parse(readFileSync(place.identitiesFile, 'utf8')) as BrokerIdentities;
  const { identities, seeds } = createBrokerIdentities();
  mkdirSync(dirname(place.nkeyFile('any')), { recursive: true, mode: 0o700 });
  const { services, ...others } = seeds;
  for (const [user, seed] of Object.entries({ ...services, ...others })) writeSecret(place.nkeyFile(user), seed);
  // Written last: with it the set is complete.
  writeFileSync(place.identitiesFile, `${JSON.stringify(identities, null, 2)}\n`);
  return identities;
}
