import { createHash } from 'node:crypto';
import type { Floor, Shortfall } from '@claviger/authz';
import { type CloudEvent, cloudEvent } from '@claviger/contracts';
import { isDestroyed, type Key } from './key';
import { certificationDays, certificationDue } from './key-certification';
import { iso } from './key-dates';
import { shortfallsOf } from './key-floor';
import type { Told } from './warnings';

/** What is to be remembered as told of a key, and the events that tell it; without one there is less to tell than before. */
export interface Tale {
  told: Told;
  events: CloudEvent[];
}

/** What is to be told of a key and its floor; `ofTokens`: in what its tokens are less, undefined where that is not known. Undefined when all is told. */
export function complianceTale(
  key: Key,
  told: Told,
  { floor, ofTokens }: { floor: Floor; ofTokens: readonly Shortfall[] | undefined },
  nowMs: number,
): Tale | undefined {
  // Not known is neither more nor less than before: what is known is told when the rest is.
  const first = ofTokens && shortfallTale(key, told, [...shortfallsOf(key, floor), ...ofTokens], nowMs);
  const second = certificationTale(key, first?.told ?? told, floor, nowMs);
  if (!first && !second) return undefined;
  return { told: (second ?? (first as Tale)).told, events: [...(first?.events ?? []), ...(second?.events ?? [])] };
}

/** In what it is less than its floor: once for each set of things. */
function shortfallTale(key: Key, told: Told, found: readonly Shortfall[], nowMs: number): Tale | undefined {
  const shortfalls = isDestroyed(key) ? [] : [...found];
  if (shortfalls.length === 0) {
    const { nonCompliant, ...rest } = told;
    return nonCompliant === undefined ? undefined : { told: rest, events: [] };
  }
  const nonCompliant = createHash('sha256').update(JSON.stringify(shortfalls)).digest('base64url').slice(0, 22);
  if (told.nonCompliant === nonCompliant) return undefined;
  const { keyId, name, owner } = key;
  const event = cloudEvent('io.claviger.key.non-compliant', {
    ...about(key, `non-compliant.${nowMs}`, nowMs),
    data: { keyId, name, owner, shortfalls },
  });
  return { told: { ...told, nonCompliant }, events: [event] };
}

/** That its owner has to certify it: once for each time that is due and number of days. */
function certificationTale(key: Key, told: Told, floor: Floor, nowMs: number): Tale | undefined {
  const dueMs = certificationDue(key, floor);
  const days = dueMs === undefined ? undefined : certificationDays(dueMs, floor, nowMs);
  if (dueMs === undefined || days === undefined) return undefined;
  const at = iso(dueMs);
  if (told.certification?.at === at && told.certification.days <= days) return undefined;
  const { keyId, name, owner } = key;
  const event = cloudEvent('io.claviger.key.certification-due', {
    ...about(key, `certification-due.${dueMs}.${days}`, nowMs),
    data: { keyId, name, owner, dueAt: at, days },
  });
  return { told: { ...told, certification: { at, days } }, events: [event] };
}

const about = ({ keyId }: Key, which: string, nowMs: number) => ({
  ...{ id: `${keyId}.${which}`, source: 'claviger/key-lifecycle', time: iso(nowMs), subject: keyId },
});
