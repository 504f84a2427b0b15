import type { AuditTrail } from '@claviger/messaging';
import type { KeyAlias } from './alias';
import type { AliasDelivery } from './alias-delivery';
import type { AliasStore } from './alias-store';
import type { BackupReader } from './backup-reader';
import type { RestoreRecord } from './backup-records';
import { inParallel } from './in-parallel';
import type { KeyStore } from './key-store';

const perPage = 100;

export interface RestoredAliasesParts {
  aliases: Pick<AliasStore, 'insertRestored'>;
  delivery: Pick<AliasDelivery, 'put'>;
  keys: Pick<KeyStore, 'get'>;
  trail: Pick<AuditTrail, 'operation'>;
  /** Throws when the process ends. */
  assertGoingOn: () => void;
}

/** The aliases of a backup, after its keys: one whose key is not in this site points nowhere, and is left out. Doing it twice has the effect of once. */
export async function restoreAliases(
  parts: RestoredAliasesParts,
  reader: Pick<BackupReader, 'aliases'>,
  record: RestoreRecord,
): Promise<{ aliases: number; aliasesLeftOut: number }> {
  const count = { aliases: 0, aliasesLeftOut: 0 };
  let page: KeyAlias[] = [];
  const flush = async () => {
    parts.assertGoingOn();
    const restored = await inParallel(page, (alias) => restoreAlias(parts, alias, record));
    const here = restored.filter((one) => one).length;
    count.aliases += here;
    count.aliasesLeftOut += page.length - here;
    page = [];
  };
  for await (const alias of reader.aliases()) {
    page.push(alias);
    if (page.length >= perPage) await flush();
  }
  if (page.length > 0) await flush();
  return count;
}

/** False where it points nowhere. */
async function restoreAlias(
  { aliases, delivery, keys, trail }: RestoredAliasesParts,
  alias: KeyAlias,
  { backupId, by, session }: RestoreRecord,
): Promise<boolean> {
  if (!(await keys.get(alias.keyId))) return false;
  await delivery.put(await aliases.insertRestored(alias));
  await trail.operation(
    {
      ...{ action: 'backup:Restore', principal: by, session, reason: `restored from ${backupId}: ${said(alias)}` },
      ...{ keyId: alias.keyId, alias: alias.alias, outcome: 'success', revisions: {} },
    },
    `${backupId}.${alias.alias}.restored`,
  );
  return true;
}

const said = ({ deleted }: KeyAlias) => (deleted ? 'a deleted alias' : 'alias');
