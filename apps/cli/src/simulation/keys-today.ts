import { readFileSync } from 'node:fs';
import type { Client } from '@claviger/client';
import type { KeyDescription } from '@claviger/contracts';
import { CommandError } from '../exit-codes';
import { keysMeant } from '../key-pages';
import type { KeyToday } from './shard';

/** As keyResource of the authz lib reads it of a view; who created it is not said by a service of an earlier version. */
export const keyTodayOf = (key: KeyDescription): [string, KeyToday] => {
  const { keyId, revision, environment, classification, owner, consumers, createdBy, algorithm, usage, tags, residency } = key;
  const optional = { ...(createdBy ? { createdBy } : {}), ...(residency ? { residency } : {}) };
  return [keyId, { revision, attrs: { environment, classification, owner, consumers, algorithm, usage, tags, ...optional } }];
};

export async function keysTodayOf(client: Client, found: (keys: number) => void): Promise<Map<string, KeyToday>> {
  const keys = new Map<string, KeyToday>();
  for await (const key of keysMeant(client)) {
    keys.set(...keyTodayOf(key));
    if (keys.size % 500 === 0) found(keys.size);
  }
  return keys;
}

/** As `claviger --json keys list` or `audit export` writes them. @throws CommandError */
export function keysTodayIn(file: string): Map<string, KeyToday> {
  try {
    const all = JSON.parse(readFileSync(file, 'utf8')) as KeyDescription[] | { keys: KeyDescription[] };
    return new Map((Array.isArray(all) ? all : all.keys).map(keyTodayOf));
  } catch (error) {
    throw new CommandError(
      'badInput',
      `${file}: keys cannot be read (${(error as NodeJS.ErrnoException).code ?? 'not what keys list --json writes'})`,
    );
  }
}
