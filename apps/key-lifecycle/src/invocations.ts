import { cloudEvent, ProblemError } from '@claviger/contracts';
import type { OutboxEntry } from './key-store';

/**
 * How many AES-GCM invocations of each version of a key have been given out to workers. SP 800-38D §8.3: with random 96-bit IVs at most 2^32 under
 * one key, over all devices. What a worker was given and did not use when it ended stays counted, so this is never less than what was used.
 */
export interface Invocations {
  readonly keyId: string;
  /** By version, as text. */
  readonly given: Readonly<Record<string, number>>;
}

/** A class, since Nest injects by it. */
export class LeaseBounds {
  constructor(
    /** At this many the version encrypts nothing more. */
    readonly max: number,
    /** From this share of `max` on the key asks to be rotated. */
    readonly rotateAt: number,
  ) {}
}

/** So many were given out that the key asks to be rotated. */
export const asksForRotation = ({ given }: Invocations, version: number, { max, rotateAt }: LeaseBounds): boolean =>
  (given[version] ?? 0) >= Math.ceil(max * rotateAt);

export const noInvocations = (keyId: string): Invocations => ({ keyId, given: {} });

/** The next block, at most as large as asked for, and what there is to tell when it is the one that crosses the share. @throws ProblemError ERR_KEY_EXHAUSTED */
export function give(
  from: Invocations,
  version: number,
  asked: number,
  { max, rotateAt }: LeaseBounds,
  now: string,
): { to: Invocations; granted: number; outbox: OutboxEntry[] } {
  const before = from.given[version] ?? 0;
  const granted = Math.min(asked, max - before);
  if (granted <= 0)
    throw new ProblemError('ERR_KEY_EXHAUSTED', `Version ${version} has reached its limit of ${max} encryptions: rotate the key.`);
  const after = before + granted;
  const threshold = Math.ceil(max * rotateAt);
  return {
    to: { ...from, given: { ...from.given, [version]: after } },
    granted,
    outbox: before < threshold && after >= threshold ? [rotationDue(from.keyId, version, after, max, now)] : [],
  };
}

function rotationDue(keyId: string, version: number, given: number, max: number, time: string): OutboxEntry {
  const id = `${keyId}.${version}.rotation-due`;
  return {
    id,
    kind: 'event',
    event: cloudEvent('io.claviger.key.rotation-due', {
      ...{ id, source: 'claviger/key-lifecycle', time, subject: keyId },
      data: { keyId, version, reason: 'encryptions', given, max },
    }),
  };
}
