import { createHash } from 'node:crypto';
import { standingOf } from '@claviger/authz';
import type { KnownToken, TokenRecord } from '@claviger/contracts';
import { type HeardOfToken, mismatchesIn, type WordOfToken, withWords } from './token-words';

/** What was told of a token, and what is still to be told: the ledger first, then whoever subscribed. Times are RFC 3339. */
export interface ToldOfToken {
  label: string;
  /** Revision of the policy bundle by which it was told. */
  bundle: number;
  /** Of which certificate and last day, and what: the state, and while it is active for how many days it was announced. */
  validation?: { of: string; state: string; days?: number };
  /** Digest of the differences. */
  mismatch?: string;
  /** By what workers said of it, of each the last. */
  words?: readonly WordOfToken[];
  untold: TokenTale[];
}

/** One thing to be told: kept with what was told, in one write, until it is in the ledger and published. */
export interface TokenTale {
  /** Of the ledger's record and of the event. */
  id: string;
  at: string;
  event: Exclude<TokenRecord['event'], 'failing' | 'well'>;
  detail: string;
  data: Record<string, unknown>;
}

export const nothingToldOf = (label: string): ToldOfToken => ({ label, bundle: 0, untold: [] });

/** Days before the last day of a validation on which it is announced, as of keys. */
const announcedDays = [30, 7, 1] as const;

/**
 * What is to be told of a token now. `heard`: what this replica has heard of workers, undefined while it is not known which there are; what a worker
 * said that it has not heard stands. Gives `told` itself when there is nothing new.
 */
export function toldNow(
  told: ToldOfToken,
  token: KnownToken,
  { heard, bundle, nowMs }: { heard: HeardOfToken | undefined; bundle: number; nowMs: number },
): ToldOfToken {
  // A replica that has a newer bundle told it: what this one knows is over.
  if (bundle < told.bundle) return told;
  const after = heard ? withMismatch(told, token, heard, nowMs) : told;
  const to = withValidation(after, token, nowMs);
  return to === told ? told : { ...to, bundle };
}

/** It was told. */
export const withoutTales = (told: ToldOfToken, ids: ReadonlySet<string>): ToldOfToken => ({
  ...told,
  untold: told.untold.filter(({ id }) => !ids.has(id)),
});

function withValidation(told: ToldOfToken, token: KnownToken, nowMs: number): ToldOfToken {
  const { validation } = token;
  const { state, why, daysLeft = 0 } = standingOf(token, nowMs);
  if (validation.standard === 'none') return without(told, 'validation');
  const { standard, certificate, level, validUntil } = validation;
  const of = [standard, certificate, validUntil, ...(state === 'not-covered' ? [token.firmware] : [])].join(' ');
  const about = { standard, certificate, level, validUntil };
  const before = told.validation?.of === of && told.validation.state === state ? told.validation : undefined;
  if (state !== 'active') {
    if (before) return told;
    const detail = `Token ${token.label} ${why}. ${nextSteps(token)}`;
    return telling({ ...told, validation: { of, state } }, token, 'validation-ended', detail, { ...about, state, detail }, nowMs);
  }
  // Another replica's clock is ahead: by that one it has ended already.
  if (told.validation?.of === of && told.validation.state === 'expired') return told;
  // Of several that have come since, the last one.
  const days = announcedDays.findLast((d) => daysLeft <= d);
  if (days === undefined) return without(told, 'validation');
  if (before?.days !== undefined && before.days <= days) return told;
  const detail = `Token ${token.label} ${why}, ${daysLeft} days from now. ${nextSteps(token)}`;
  return telling({ ...told, validation: { of, state, days } }, token, 'validation-ending', detail, { ...about, days: daysLeft }, nowMs);
}

function withMismatch(before: ToldOfToken, token: KnownToken, heard: HeardOfToken, nowMs: number): ToldOfToken {
  const words = withWords(before.words ?? [], heard);
  const told = words === before.words || (words.length === 0 && !before.words) ? before : { ...before, words };
  // Silence takes nothing back.
  if (!words.some(({ reported }) => reported)) return told;
  const mismatches = mismatchesIn(token, words);
  if (mismatches.length === 0) return without(told, 'mismatch');
  const mismatch = createHash('sha256').update(JSON.stringify(mismatches)).digest('base64url').slice(0, 22);
  if (told.mismatch === mismatch) return told;
  const differences = mismatches.map(({ what, recorded, reported }) => `${what} ${recorded} on record, and it says ${reported}`);
  const detail = `Token ${token.label} is another than its record says: ${differences.join('; ')}. Put the record right (tokens.json), or find out who changed the token. ${contactOf(token)}`;
  return telling({ ...told, mismatch }, token, 'mismatch', detail, { mismatches }, nowMs);
}

function telling(
  told: ToldOfToken,
  { label, vendor, contact }: KnownToken,
  event: TokenTale['event'],
  detail: string,
  about: Record<string, unknown>,
  nowMs: number,
): ToldOfToken {
  const id = `token.${label}.${event}.${nowMs}`;
  const data = { token: label, ...about, vendor, contact, record: id };
  return { ...told, untold: [...told.untold, { id, at: new Date(nowMs).toISOString(), event, detail, data }] };
}

function without(told: ToldOfToken, name: 'validation' | 'mismatch'): ToldOfToken {
  if (told[name] === undefined) return told;
  const rest = { ...told };
  delete rest[name];
  return rest;
}

const nextSteps = (token: KnownToken) =>
  `Have its record renewed (tokens.json) once there is another certificate, or move its keys to another token. ${contactOf(token)}`;
const contactOf = ({ vendor, contact, incidents }: KnownToken) =>
  `${vendor}: ${contact}; within ${incidents.notifyWithinHours} hours: ${incidents.terms}`;
