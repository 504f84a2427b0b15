import type { Action } from '@claviger/contracts';
import type { Resource } from './request';
import type { LimitedGrant } from './subjects';

/** What one request was counted against, each once however often it is asked. */
export class Charges {
  /** By what was counted: how to take it back. */
  readonly taken = new Map<string, () => void>();
  /** Grants of which a use was counted: they are honoured for the rest of the request. */
  readonly grants: LimitedGrant[] = [];

  takeBack(): void {
    for (const undo of this.taken.values()) undo();
    this.taken.clear();
    this.grants.length = 0;
  }
}

/** Counts an operation that policy allows against the quotas that it falls under, and against the grants of limited use that allowed it. */
export interface QuotaGate {
  /** Throws ProblemError ERR_QUOTA_EXCEEDED or ERR_QUOTA_UNAVAILABLE, or QuotaPending. */
  charge(principal: string, action: Action, resource: Resource, charges: Charges): void;
  /** One use of each of these grants, or of none. Throws QuotaPending. */
  use(grants: readonly LimitedGrant[], charges: Charges): 'counted' | 'used-up' | 'unknown';
}

/** Whether it may go on has to be asked: begin again when `asked` resolves. It never rejects. */
export class QuotaPending extends Error {
  constructor(readonly asked: Promise<void>) {
    super('a quota is being asked for');
  }
}
