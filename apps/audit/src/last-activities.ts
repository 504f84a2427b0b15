import type { Activity, ActivityAnswer, ActivityQuestion, UseAsked } from '@claviger/contracts';
import { LedgerReader } from './ledger-reader';

type Query = Parameters<LedgerReader['query']>[0];
type Found = Awaited<ReturnType<LedgerReader['query']>>['records'][number];

const pageRecords = 50;
/** Pages of all that a principal did, in which most of what it uses is found … */
const pagesOfAll = 4;
/** … and pages of one action, for what is not. */
const pagesOfAction = 4;

/** When principals last did something, from the newest records on. What is not found before the deadline is unknown, which is not unused. */
export class LastActivities {
  constructor(private readonly reader: Pick<LedgerReader, 'query'>) {}

  /** `deadline`: of `performance.now()`. */
  async of({ principal, since, uses }: ActivityQuestion, deadline = Number.POSITIVE_INFINITY): Promise<ActivityAnswer> {
    const opened = await this.newest(
      { principal, from: since, kind: 'session' },
      pagesOfAll,
      deadline,
      ({ record }) => record.event === 'opened',
    );
    const found = new Map<string, Activity>();
    const open = () => uses.filter(({ id }) => !found.has(id));
    let sought = open();
    const all: Partial<Query> = { principal, from: since, outcome: 'success', kind: 'operation' };
    const { complete } = await this.look(all, pagesOfAll, deadline, (entry) => {
      for (const use of sought) if (isUse(use, entry)) found.set(use.id, activityOf(entry));
      sought = open();
      return sought.length === 0;
    });
    for (const use of open()) found.set(use.id, complete ? { known: 'unused' } : await this.byAction(use, all, deadline));
    return { principal, session: opened, uses: uses.map(({ id }) => ({ id, activity: found.get(id)! })) };
  }

  /** Of somebody who does much else: one question to the ledger for each action. */
  private async byAction(use: UseAsked, all: Partial<Query>, deadline: number): Promise<Activity> {
    const each: Activity[] = [];
    for (const action of use.actions)
      each.push(
        await this.newest({ ...all, action, ...(use.keyId ? { keyId: use.keyId } : {}) }, pagesOfAction, deadline, (entry) =>
          isUse(use, entry),
        ),
      );
    const used = each.filter(({ known }) => known === 'used').sort((a, b) => b.index! - a.index!);
    return used[0] ?? (each.some(({ known }) => known === 'unknown') ? { known: 'unknown' } : { known: 'unused' });
  }

  private async newest(query: Partial<Query>, pages: number, deadline: number, isIt: (entry: Found) => boolean): Promise<Activity> {
    let at: Activity | undefined;
    const { complete } = await this.look(query, pages, deadline, (entry) => {
      if (isIt(entry)) at = activityOf(entry);
      return at !== undefined;
    });
    return at ?? { known: complete ? 'unused' : 'unknown' };
  }

  /** Shows each record until `enough`; whether none is left that was not shown. */
  private async look(
    query: Partial<Query>,
    pages: number,
    deadline: number,
    enough: (entry: Found) => boolean,
  ): Promise<{ complete: boolean }> {
    let before: number | undefined;
    for (let page = 0; page < pages && performance.now() < deadline; page++) {
      const { records, next } = await this.reader.query({ ...query, before, limit: pageRecords } as Query);
      for (const entry of records) if (enough(entry)) return { complete: false };
      if (next === undefined) return { complete: true };
      before = next;
    }
    return { complete: false };
  }
}

function isUse({ actions, policies, keyId }: UseAsked, { record }: Found): boolean {
  if (!actions.includes(record.action as string)) return false;
  if (keyId !== undefined && record.keyId !== keyId) return false;
  return policies === undefined || (Array.isArray(record.policies) && record.policies.some((id) => policies.includes(id)));
}

const activityOf = ({ index, record }: Found): Activity => ({ known: 'used', at: record.time as string, index });
