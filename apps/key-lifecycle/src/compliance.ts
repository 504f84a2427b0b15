import { createHash } from 'node:crypto';
import type { Floor } from '@claviger/authz';
import { type CloudEvent, cloudEvent } from '@claviger/contracts';
import { isDestroyed, type Key } from './key';
import { iso } from './key-dates';
import { shortfallsOf } from './key-floor';
import type { Told } from './warnings';

/** What is to be remembered as told of a key; without an event there is nothing to tell of it any more. */
export interface Tale {
  told: Told;
  event?: CloudEvent;
}

/** What is to be told of a key and its floor: once for each set of things in which it is less. Undefined when all is told. */
export function complianceTale(key: Key, told: Told, floor: Floor, nowMs: number): Tale | undefined {
  const shortfalls = isDestroyed(key) ? [] : shortfallsOf(key, floor);
  if (shortfalls.length === 0) {
    const { nonCompliant, ...rest } = told;
    return nonCompliant === undefined ? undefined : { told: rest };
  }
  const nonCompliant = digestOf(shortfalls);
  if (told.nonCompliant === nonCompliant) return undefined;
  const { keyId, name, owner } = key;
  return {
    told: { ...told, nonCompliant },
    event: cloudEvent('io.claviger.key.non-compliant', {
      id: `${keyId}.non-compliant.${nowMs}`,
      source: 'claviger/key-lifecycle',
      time: iso(nowMs),
      subject: keyId,
      data: { keyId, name, owner, shortfalls },
    }),
  };
}

const digestOf = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('base64url').slice(0, 22);
