import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { type BrokerIdentities, createBrokerIdentities } from '@claviger/messaging';
import type { layout } from './layout';
import { writeSecret } from './secret-file';

/** Nkeys of all users of the broker: seeds into files of their own, public halves into one. Kept when they are there. */
export function createBrokerSecrets(place: ReturnType<typeof layout>): BrokerIdentities {
  if (existsSync(place.identitiesFile)) return JSON.parse(readFileSync(place.identitiesFile, 'utf8')) as BrokerIdentities;
  const { identities, seeds } = createBrokerIdentities();
  const folder = dirname(place.nkeyFile('any'));
  // Seeds without the list of their public halves are of an interrupted run: no broker was ever configured with them.
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { services, ...others } = seeds;
  for (const [user, seed] of Object.entries({ ...services, ...others })) writeSecret(place.nkeyFile(user), seed);
  // Last, and at once: with it the set is complete.
  const partial = `${place.identitiesFile}.partial`;
  writeFileSync(partial, `${JSON.stringify(identities, null, 2)}\n`);
  renameSync(partial, place.identitiesFile);
  return identities;
}
