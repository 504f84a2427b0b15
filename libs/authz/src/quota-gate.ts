import type { Action } from '@claviger/contracts';
import type { Resource } from './request';

/** What one request was counted against, each once however often it is asked, and how to take that back. */
export type Charges = Map<string, () => void>;

/** Counts an operation that policy allows against the quotas that it falls under. */
export interface QuotaGate {
  /** Throws ProblemError ERR_QUOTA_EXCEEDED or ERR_QUOTA_UNAVAILABLE, or QuotaPending. */
  charge(principal: string, action: Action, resource: Resource, charges: Charges): void;
}

/** Whether it may go on has to be asked: begin again when `asked` resolves. It never rejects. */
export class QuotaPending extends Error {
  constructor(readonly asked: Promise<void>) {
    super('a quota is being asked for');
  }
}
