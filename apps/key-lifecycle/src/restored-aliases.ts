import type { AuditTrail } from '@claviger/messaging';
import type { KeyAlias } from './alias';
import type { AliasDelivery } from './alias-delivery';
import type { AliasStore } from './alias-store';
import type { BackupReader } from './backup-reader';
import type { RestoreRecord } from './backup-records';
import type { KeyStore } from './key-store';

export interface RestoredAliasesParts {
  aliases: Pick<AliasStore, 'insertRestored'>;
  delivery: Pick<AliasDelivery, 'put'>;
  keys: Pick<KeyStore, 'get'>;
  trail: Pick<AuditTrail, 'operation'>;
}

/** The aliases of a backup, after its keys: one whose key is not in this site points nowhere, and is left out. Doing it twice has the effect of once. */
export async function restoreAliases(
  { aliases, delivery, keys, trail }: RestoredAliasesParts,
  reader: Pick<BackupReader, 'aliases'>,
  { backupId, by, session }: RestoreRecord,
): Promise<{ aliases: number; aliasesLeftOut: number }> {
  const count = { aliases: 0, aliasesLeftOut: 0 };
  for await (const alias of reader.aliases()) {
    if (!(await keys.get(alias.keyId))) {
      count.aliasesLeftOut++;
      continue;
    }
    await delivery.put(await aliases.insertRestored(alias));
    count.aliases++;
    await trail.operation(
      {
        ...{ action: 'backup:Restore', principal: by, session, reason: `restored from ${backupId}: ${said(alias)}` },
        ...{ keyId: alias.keyId, alias: alias.alias, outcome: 'success', revisions: {} },
      },
      `${backupId}.${alias.alias}.restored`,
    );
  }
  return count;
}

const said = ({ deleted }: KeyAlias) => (deleted ? 'a deleted alias' : 'alias');
