import {
  type Charges,
  type Counted,
  countedBy,
  type Evaluator,
  type LimitedGrant,
  type QuotaGate,
  QuotaPending,
  type QuotaRules,
  quotaRules,
  type Resource,
} from '@claviger/authz';
import { type Action, grantCounter, grantUses, type PolicyBundle, ProblemError, quotaCounter, quotaWindows } from '@claviger/contracts';
import type { Count, CountedUses } from './counted-uses';

export interface QuotasParts {
  uses: Pick<CountedUses, 'availability' | 'take' | 'nowMs' | 'keep'>;
  evaluator: Pick<Evaluator, 'current' | 'rolesOf' | 'groupsOf'>;
  /** A request was refused, since this is used up in the window that began then, or unknown. */
  onRefused: (refused: { counted: Counted; count: Count; caller: string; why: 'used-up' | 'unknown'; since: number }) => void;
}

/** The quotas of the bundle in force, and the uses of its grants, over all processes. */
export class Quotas implements QuotaGate {
  private bundle: PolicyBundle | undefined;
  private rules: QuotaRules = new Map();
  /** By quota: operations that were let through here. */
  readonly allowed = new Map<string, number>();

  constructor(private readonly parts: QuotasParts) {}

  /** All or none: an operation that one quota refuses counts against no other. */
  charge(principal: string, action: Action, resource: Resource, charges: Charges): void {
    const { evaluator, uses } = this.parts;
    this.follow(evaluator.current?.bundle);
    const quotas = this.rules.get(action);
    if (!quotas) return;
    const nowMs = uses.nowMs();
    const due: { quota: string; count: Count }[] = [];
    let pending: Promise<void> | undefined;
    const held = {
      // Also a role that only a grant of limited use gives, in a request that used it.
      roles: () => evaluator.rolesOf(principal, Date.now(), charges.grants),
      groups: () => evaluator.groupsOf(principal),
    };
    for (const counted of countedBy(quotas, principal, resource, held)) {
      const count = countOf(counted);
      if (charges.taken.has(count.key)) continue;
      const availability = uses.availability(count, nowMs);
      if (availability instanceof Promise) pending ??= availability;
      else if (availability === 'held') due.push({ quota: counted.quota.id, count });
      else this.refuse(counted, count, principal, availability, nowMs);
    }
    if (pending) throw new QuotaPending(pending);
    for (const { quota, count } of due) {
      const takeBack = uses.take(count, nowMs);
      if (!takeBack) throw new QuotaPending(Promise.resolve());
      charges.taken.set(count.key, takeBack);
      this.allowed.set(quota, (this.allowed.get(quota) ?? 0) + 1);
    }
  }

  use(grants: readonly LimitedGrant[], charges: Charges): 'counted' | 'used-up' | 'unknown' {
    const { uses, evaluator } = this.parts;
    this.follow(evaluator.current?.bundle);
    const nowMs = uses.nowMs();
    const due = grants.map((grant) => ({ grant, count: usesOf(grant) })).filter(({ count }) => !charges.taken.has(count.key));
    let pending: Promise<void> | undefined;
    for (const { count } of due) {
      const availability = uses.availability(count, nowMs);
      if (availability instanceof Promise) pending ??= availability;
      else if (availability !== 'held') return availability;
    }
    if (pending) throw new QuotaPending(pending);
    for (const { grant, count } of due) {
      const takeBack = uses.take(count, nowMs);
      if (!takeBack) throw new QuotaPending(Promise.resolve());
      charges.taken.set(count.key, takeBack);
      charges.grants.push(grant);
    }
    return 'counted';
  }

  private follow(bundle: PolicyBundle | undefined): void {
    if (bundle === this.bundle) return;
    this.bundle = bundle;
    this.rules = quotaRules(bundle ?? {});
    const ids = new Set(bundle?.quotas?.map(({ id }) => id));
    const limited = bundle?.grants?.filter((grant): grant is LimitedGrant => grant.uses !== undefined) ?? [];
    this.parts.uses.keep(new Set(limited.map((grant) => usesOf(grant).key)));
    for (const id of this.allowed.keys()) if (!ids.has(id)) this.allowed.delete(id);
  }

  private refuse(counted: Counted, count: Count, caller: string, why: 'used-up' | 'unknown', nowMs: number): never {
    const { id, limit, window } = counted.quota;
    const { ms } = quotaWindows[window];
    const since = Math.floor(nowMs / ms) * ms;
    this.parts.onRefused({ counted, count, caller, why, since });
    if (why === 'unknown') throw new ProblemError('ERR_QUOTA_UNAVAILABLE', `What is left of the quota ${id} is not known now.`);
    const retryAfterMs = Math.max(1, Math.ceil(since + ms - nowMs));
    throw new ProblemError('ERR_QUOTA_EXCEEDED', `The quota ${id} of ${limit} a ${window} is used up.`, { retryAfterMs });
  }
}

/** The names of what a quota counts apart are ids without spaces. */
function countOf({ quota, subject }: Counted): Count {
  const { ms, stream } = quotaWindows[quota.window];
  return {
    key: `${quota.id} ${quota.window} ${subject.principal ?? ''} ${subject.keyId ?? ''}`,
    of: { id: quota.id, window: quota.window, ...subject },
    limit: quota.limit,
    stream,
    windowMs: ms,
    counter: (window) => quotaCounter(quota, subject, window),
  };
}

const usesOf = ({ id, principal, uses }: LimitedGrant): Count => ({
  key: `grant ${id} ${principal}`,
  of: { id, principal },
  limit: uses,
  stream: grantUses.stream,
  windowMs: undefined,
  counter: () => grantCounter(id, principal),
});
