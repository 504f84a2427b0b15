import { LastUse, type LastUseOfKey } from '@claviger/contracts';
import { LedgerReader } from './ledger-reader';

const pageRecords = 50;
/** Pages that are looked through for one key: so many records of it in a row that are no use of it are somebody's query to ask. */
const pagesMost = 20;

/** When a key was last used: the newest record of a caller's successful cryptographic operation with it, or of an export of it or to it. */
export class LastUses {
  constructor(private readonly reader: Pick<LedgerReader, 'query'>) {}

  /** What is not found before the deadline (of `performance.now()`) is unknown. */
  async of(keyId: string, deadline = Number.POSITIVE_INFINITY): Promise<LastUseOfKey> {
    let before: number | undefined;
    for (let page = 0; page < pagesMost && performance.now() < deadline; page++) {
      const { records, next } = await this.reader.query({
        keyId,
        outcome: 'success',
        kind: 'operation',
        before,
        limit: pageRecords,
      } as Query);
      for (const { index, record } of records) {
        const use = useOf(index, record, keyId);
        if (use) return { keyId, known: 'used', use };
      }
      if (next === undefined) return { keyId, known: 'never' };
      before = next;
    }
    return { keyId, known: 'unknown' };
  }
}
type Query = Parameters<LedgerReader['query']>[0];

/** Undefined for what is no use of the key: a command on it, or a record that is not as services write them. */
function useOf(
  index: number,
  { action, principal, time, version, toVersion, keyId: from }: Record<string, unknown>,
  keyId: string,
): LastUse | undefined {
  // What was exported is used elsewhere, and what lies under the key that it was exported to needs that one.
  if (typeof action !== 'string' || !(action.startsWith('crypto:') || action === 'keys:Export')) return undefined;
  const used = from === keyId ? version : toVersion;
  const use = LastUse.safeParse({ action, principal, at: time, index, ...(used === undefined ? {} : { version: used }) });
  return use.success ? use.data : undefined;
}
