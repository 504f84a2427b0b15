import { ProblemError, type TokenKey } from '@claviger/contracts';
import type { Reservations } from './reservations';

/** Objects of tokens, from the reservation of their name until a document names them, in the hands of the process that asks for them. */
export class ReservedObjects {
  /** When (ms since 1970) each was asked for, by its name. */
  private readonly asked = new Map<string, number>();

  constructor(
    private readonly reservations: Reservations,
    private readonly orphanAfterMs: number,
  ) {}

  async reserve(keyId: string): Promise<string> {
    const atMs = Date.now();
    const label = await this.reservations.reserve(keyId, new Date(atMs).toISOString());
    for (const [asked, sinceMs] of this.asked) if (Math.abs(atMs - sinceMs) >= this.orphanAfterMs) this.asked.delete(asked);
    this.asked.set(label, atMs);
    return label;
  }

  /** Throws ERR_WORKER_UNAVAILABLE for objects that a sweep may take for orphans by the time they are named. */
  assertFresh(objects: readonly TokenKey[]): void {
    for (const { label } of objects) assertFresh(this.asked.get(label) ?? Date.now(), Date.now(), this.orphanAfterMs);
  }

  /** A document names them now. */
  named(objects: readonly TokenKey[]): void {
    for (const { label } of objects) this.release(label);
  }

  /** There is nothing of that name in a token, or a document names it. */
  release(label: string): void {
    this.asked.delete(label);
    // The sweep does it otherwise.
    void this.reservations.release(label).catch(() => undefined);
  }

  /** Made in a token for a change which somebody else's came before: no document names them, and none ever will. The sweep destroys them, and records it. */
  discard(keyId: string, objects: readonly TokenKey[]): void {
    for (const object of objects) {
      const at = new Date(this.asked.get(object.label) ?? Date.now()).toISOString();
      this.asked.delete(object.label);
      // Not told, it is found by its age.
      void this.reservations.abandon(keyId, object, at).catch(() => undefined);
    }
  }
}

/** Longer than the making of a key takes by far; what is older may be taken for an orphan by the time it is written. */
export function assertFresh(askedAtMs: number, nowMs: number, orphanAfterMs: number): void {
  if (Math.abs(nowMs - askedAtMs) >= orphanAfterMs / 2)
    throw new ProblemError('ERR_WORKER_UNAVAILABLE', 'The material of the key was made too long ago to be used.');
}
