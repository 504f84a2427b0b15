import type { CounterStreamName, Quota, QuotaSubject } from '@claviger/contracts';
import { grantCounter, grantUses, ProblemError, quotaCounter, quotaWindowIndex, quotaWindows } from '@claviger/contracts';
import type { Counters } from '@claviger/messaging';

/** Of one principal, one key, both or all. */
export interface GivenOut extends QuotaSubject {
  given: number;
}

/** Reads what every process counted, from the counters themselves. */
export class QuotaCounts {
  constructor(
    private readonly counters: Pick<Counters, 'readAll'>,
    /** The broker's time: it says which window is now. */
    private readonly nowMs: () => number,
  ) {}

  /** Begin of its window of now, and of the next; ms since 1970-01-01 UTC. */
  window({ window }: Quota): { since: number; until: number } {
    const { ms } = quotaWindows[window];
    const since = quotaWindowIndex(window, this.nowMs()) * ms;
    return { since, until: since + ms };
  }

  /** What is given out in the window that began at `since`, the most first; undefined when there are too many to be read at once. */
  async of(quota: Quota, since: number, named: QuotaSubject = {}): Promise<GivenOut[] | undefined> {
    const index = quotaWindowIndex(quota.window, since);
    const any = { principal: '*', keyId: '*' };
    const base = quotaCounter(quota, { ...any, ...dropAbsent(named) }, index);
    const values = await this.read(quotaWindows[quota.window].stream, [`${base}.drawn`, `${base}.returned`]);
    if (!values) return undefined;
    const counts: GivenOut[] = [];
    for (const [subject, drawn] of values) {
      const [, , , , principal, keyId, , what] = subject.split('.');
      if (what !== 'drawn') continue;
      const returned = values.get(subject.replace(/drawn$/, 'returned')) ?? 0;
      // Draws beyond the limit are how a process learns that nothing is left.
      const given = Math.min(quota.limit, drawn - returned);
      counts.push({ given, ...(principal === '_' ? {} : { principal }), ...(keyId === '_' ? {} : { keyId }) });
    }
    return counts.sort((a, b) => b.given - a.given);
  }

  /** How many uses of a grant are given out. */
  async ofGrant(id: string, principal: string): Promise<number> {
    const counter = grantCounter(id, principal);
    const values = await this.read(grantUses.stream, [`${counter}.drawn`, `${counter}.returned`]);
    return (values?.get(`${counter}.drawn`) ?? 0) - (values?.get(`${counter}.returned`) ?? 0);
  }

  private async read(stream: CounterStreamName, filters: string[]): Promise<Map<string, number> | undefined> {
    try {
      return await this.counters.readAll(stream, filters);
    } catch (error) {
      throw new ProblemError('ERR_QUOTA_UNAVAILABLE', undefined, { cause: error });
    }
  }
}

const dropAbsent = ({ principal, keyId }: QuotaSubject): QuotaSubject => ({
  ...(principal ? { principal } : {}),
  ...(keyId ? { keyId } : {}),
});
