import { type Action, actionTable } from '@claviger/contracts';

export type Verdict = 'allow' | 'deny' | 'needs-approval';

/** What a record says of one decision of policy. */
export interface RecordedDecision {
  readonly principal: string;
  readonly action: Action;
  readonly keyId?: string;
  /** Of the key, when it was decided. */
  readonly keyRevision?: number;
  readonly session: string;
  readonly mfa?: boolean;
  readonly timeMs: number;
  readonly context?: Readonly<Record<string, string>>;
  /** Of re-encryption: where to, which policy is asked as well. */
  readonly to?: { readonly keyId: string; readonly context?: Readonly<Record<string, string>> };
  readonly verdict: Verdict;
  /** Uses of grants were counted for it. */
  readonly tookGrants?: boolean;
  /** Those that decided. */
  readonly policies: readonly string[];
}

/** Why a record holds no decision to compare with. */
export type Passed = 'not decided by policy' | 'not reached by policy' | 'not a use that policy knows';

interface Fields {
  action?: unknown;
  principal?: unknown;
  session?: unknown;
  time?: unknown;
  outcome?: unknown;
  code?: unknown;
  keyId?: unknown;
  mfa?: unknown;
  context?: unknown;
  toKeyId?: unknown;
  toContext?: unknown;
  policies?: unknown;
  grants?: unknown;
  approvedBy?: unknown;
  revisions?: { key?: unknown };
}

/** Reads an operation record (records.ts of contracts). What the session or the state of things refused, no policy decided. */
export function recordedDecision(record: Fields): RecordedDecision | Passed {
  const { action, principal, session, time, keyId, mfa, context, toKeyId, toContext, revisions } = record;
  if (typeof action !== 'string' || !Object.hasOwn(actionTable, action)) return 'not a use that policy knows';
  const policies = Array.isArray(record.policies) ? (record.policies as string[]) : undefined;
  const verdict = verdictOf(record, policies);
  if (verdict === undefined) return policies !== undefined && policies.length === 0 ? 'not decided by policy' : 'not reached by policy';
  return {
    ...{ principal: String(principal), action: action as Action, session: String(session), timeMs: Date.parse(String(time)) },
    ...{ verdict, policies: policies ?? [] },
    ...(typeof keyId === 'string' ? { keyId } : {}),
    ...(typeof revisions?.key === 'number' ? { keyRevision: revisions.key } : {}),
    ...(typeof mfa === 'boolean' ? { mfa } : {}),
    ...(isFilled(record.grants) ? { tookGrants: true } : {}),
    ...(context === undefined ? {} : { context: context as Record<string, string> }),
    ...(action === 'crypto:ReEncryptFrom' && typeof toKeyId === 'string'
      ? { to: { keyId: toKeyId, ...(toContext === undefined ? {} : { context: toContext as Record<string, string> }) } }
      : {}),
  };
}

const isFilled = (list: unknown): boolean => Array.isArray(list) && list.length > 0;

function verdictOf({ outcome, code, approvedBy }: Fields, policies: readonly string[] | undefined): Verdict | undefined {
  if (code === 'ERR_ACCESS_DENIED') return 'deny';
  if (code === 'ERR_APPROVAL_REQUIRED') return 'needs-approval';
  // Approvals are counted where policy asks for them, and let in what it alone did not.
  if (isFilled(approvedBy)) return 'needs-approval';
  // Whatever failed then, policy had let it in.
  if (policies === undefined || policies.length === 0) return undefined;
  return outcome === 'denied' && typeof code === 'string' && code.startsWith('ERR_SESSION') ? undefined : 'allow';
}
