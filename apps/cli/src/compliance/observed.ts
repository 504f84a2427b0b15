import type { Alert, BackupDescription, KekDescription, KeyDescription, PolicyBundle, TokenDescription } from '@claviger/contracts';

/** What was read, or why it was not. Not read is not absent: a check that needs it is unknown. */
export type Seen<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly why: string };
export const seen = <T>(value: T): Seen<T> => ({ ok: true, value });
export const unseen = (why: string): Seen<never> => ({ ok: false, why });

/** A record of the ledger, as it was found. */
export interface FoundRecord {
  readonly index: number;
  readonly record: Readonly<Record<string, unknown>>;
}

export interface LedgerState {
  readonly size: number;
  /** What an honest ledger does not hold, and what it wrote down itself. */
  readonly problems: readonly string[];
  readonly findings: readonly string[];
}

/** A rehearsal of a restore, as `claviger drill dr` writes it. */
export interface Drill {
  readonly ok: boolean;
  readonly startedAt: string;
  readonly keys: number;
  readonly rtoSeconds: number;
  readonly rpoSeconds: number;
}

/** Everything that checks look at beside the keys, which are looked at one by one. */
export interface Observed {
  /** Milliseconds since 1970-01-01 UTC. */
  readonly nowMs: number;
  readonly bundle: Seen<PolicyBundle>;
  readonly tokens: Seen<readonly TokenDescription[]>;
  readonly keks: Seen<readonly KekDescription[]>;
  readonly backups: Seen<readonly BackupDescription[]>;
  readonly drill: Seen<Drill>;
  readonly ledger: Seen<LedgerState>;
  readonly alerts: Seen<readonly Alert[]>;
  /** Records by `recordQuery` of what a check asks of the ledger; newest first. */
  readonly records: ReadonlyMap<string, Seen<readonly FoundRecord[]>>;
}

/** Keys that the caller sees are all keys only where policy lets the caller describe any of them. */
export type KeysSeen = { readonly complete: true } | { readonly complete: false; readonly why: string };

export type Key = KeyDescription;
export const dayMs = 86_400_000;

/** One name for what is asked of the ledger, so that it is asked once. */
export const recordQuery = ({ kind, action, outcome }: { kind?: string; action?: string; outcome?: string }): string =>
  [kind ?? '', action ?? '', outcome ?? ''].join('|');
