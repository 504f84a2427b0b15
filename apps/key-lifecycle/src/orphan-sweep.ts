import { internalOperations } from '@claviger/contracts';
import { type AuditTrail, askInternal } from '@claviger/messaging';
import { Repeated } from '@claviger/service';
import type { NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';
import { iso } from './key-dates';
import type { KeyStore } from './key-store';
import type { DueReservation, Reservation, Reservations } from './reservations';
import { TamperedDocument } from './signed-documents';

const hsmTimeoutMs = 5_000;
const claimMs = 60_000;
const pageSize = 100;
/** Workers that reach other tokens may be asked by chance: one that finds nothing is no proof for all. So long is asked again. */
const lookedForMs = 24 * 3_600_000;

export interface OrphanSweepParts {
  reservations: Reservations;
  store: KeyStore;
  trail: AuditTrail;
  connection: NatsConnection;
  /** A name that is so old, and that no document has, is of material that nobody will ever use. */
  orphanAfterMs: number;
  logger: LoggerService;
  nowMs?: () => number;
}

/**
 * Destroys objects of tokens that were made for a key whose document does not name them: the process ended in between, the name of the key was taken,
 * or another change came first. What cannot be read is unknown, and its objects stay.
 */
export class OrphanSweep {
  private readonly repeated = new Repeated(
    () => this.sweepOnce(),
    (error) => this.parts.logger.warn(`sweep of token objects without a key: ${String(error)}`),
  );
  private readonly nowMs: () => number;

  constructor(private readonly parts: OrphanSweepParts) {
    this.nowMs = parts.nowMs ?? Date.now;
  }

  start(): void {
    this.repeated.start(Math.min(60_000, this.parts.orphanAfterMs / 2));
  }

  stop(): Promise<void> {
    return this.repeated.stop();
  }

  sweep(): Promise<void> {
    return this.repeated.now();
  }

  private async sweepOnce(): Promise<void> {
    const { reservations, trail, orphanAfterMs } = this.parts;
    let after: string | undefined;
    do {
      const nowMs = this.nowMs();
      const found = await reservations.due(iso(nowMs - orphanAfterMs), iso(nowMs), pageSize, after);
      for (const label of found) {
        // What could not be recorded is not done.
        if (this.repeated.stopped || !trail.commit.available) return;
        const claimed = await reservations.claim(label, iso(nowMs), iso(nowMs + claimMs));
        if (claimed) await this.lookAfter(claimed);
      }
      after = found.length === pageSize ? found.at(-1) : undefined;
    } while (after !== undefined);
  }

  private async lookAfter(due: DueReservation): Promise<void> {
    const { reservations, store, logger } = this.parts;
    try {
      const reservation = store.told(due.label, due.read);
      if (reservation.abandonedIn === undefined && this.nowMs() - Date.parse(reservation.at) < this.parts.orphanAfterMs) return;
      // Throws where the document is tampered with, or older than what the workers have: then it is not known what it names.
      const key = await store.get(reservation.keyId);
      const named = key?.versions.some(({ material }) => material?.custody === 'token' && material.label === due.label);
      if (named) await reservations.release(due.label);
      else await this.destroy(reservation, due.recorded);
    } catch (error) {
      if (!(error instanceof TamperedDocument))
        logger.warn(`the token object ${due.label} belongs to no key and is still there: ${String(error)}`);
    }
  }

  private async destroy({ label, keyId, at, abandonedIn: token }: Reservation, recorded: boolean): Promise<void> {
    const { reservations, trail, connection, logger } = this.parts;
    const lookFurther = token === undefined && this.nowMs() - Date.parse(at) < lookedForMs;
    // Before it is done, so that no destruction is without its record.
    if (!recorded) {
      const reason = `no version of the key is the token object ${label}, which was asked for at ${at}`;
      const who = { principal: 'key-lifecycle', session: 'schedule' };
      await trail.operation({ action: 'keys:DiscardMaterial', ...who, keyId, reason, outcome: 'success', revisions: {} });
      await reservations.recorded(label);
    }
    const { destroyed } = await askInternal(
      connection,
      internalOperations.destroyKey,
      { ...(token === undefined ? {} : { token }), label },
      { timeoutMs: hsmTimeoutMs },
    );
    if (destroyed) logger.log(`the token object ${label} belonged to no key and is destroyed`);
    if (destroyed || !lookFurther) await reservations.release(label);
  }
}
