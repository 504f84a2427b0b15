import { type CloudEvent, ProblemError } from '@claviger/contracts';
import type { AuditTrail, RecordIntent } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { claimMs, triedAgainAt } from './due-bounds';
import type { Claimed, DueKeys } from './due-keys';
import { asksForRotation, type LeaseBounds } from './invocations';
import { activateKey, assertRotatable, deactivateKey, destroyKey, type Key, rotateKey } from './key';
import type { KeyCommands } from './key-commands';
import { type DueChange, dueAfter, dueChange, iso, nextChange, originatorPeriodEnd, rotatesOnUsage } from './key-dates';
import { expireMaterial } from './key-material';
import type { KeyStore } from './key-store';
import { TamperedDocument } from './signed-documents';
import { rotationFailure, warning } from './warnings';

const pageSize = 100;
/** So many keys are rotated at once: a worker whose token hangs holds each for half a minute. */
const rotationsAtOnce = 4;

const said: Record<DueChange, { action: string; done: string }> = {
  activate: { action: 'keys:Activate', done: 'activated as scheduled' },
  deactivate: { action: 'keys:Deactivate', done: 'deactivated: its originator usage period has ended' },
  rotate: { action: 'keys:Rotate', done: 'rotated as scheduled' },
  destroy: { action: 'keys:Destroy', done: 'destroyed as scheduled' },
  'expire-material': { action: 'keys:ExpireMaterial', done: 'left without the imported material that expired' },
};

/** One change as somebody ordered it. */
interface Due {
  change: DueChange;
  reason: string;
  /** Left out where the number of encryptions asks for it. */
  at?: string;
  /** Whether it is still to be done: another replica may have been first, or somebody decided otherwise. */
  isDue: (key: Key) => boolean;
}
class NotDue extends Error {}

/** Does what is due to keys by itself, and records it as any other change; tells what is coming. Several replicas may sweep: one of them wins each key. */
export class DueChanges {
  private timer: NodeJS.Timeout | undefined;
  private sweeping: Promise<void> | undefined;
  private rotating: Promise<void> | undefined;
  /** Found among the quick ones, and to be rotated. */
  private readonly slow = new Set<string>();
  private stopped = false;
  private readonly nowMs: () => number;

  constructor(
    private readonly parts: {
      commands: KeyCommands;
      due: DueKeys;
      store: KeyStore;
      trail: AuditTrail;
      bounds: LeaseBounds;
      logger: LoggerService;
      nowMs?: () => number;
    },
  ) {
    this.nowMs = parts.nowMs ?? Date.now;
  }

  start(everyMs: number): void {
    this.timer = setInterval(() => void this.sweep(), everyMs);
  }

  /** Waits until what was done is recorded. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    await Promise.all([this.sweeping, this.rotating]);
  }

  /** Resolves when all that was found is looked after. What is quick is, again and again, while rotations that wait for a worker go on beside. */
  async sweep(): Promise<void> {
    this.sweeping ??= this.sweepQuick()
      .catch((error) => this.parts.logger.warn(`sweep of what is due: ${String(error)}`))
      .finally(() => (this.sweeping = undefined));
    await this.sweeping;
    this.rotating ??= this.sweepRotations()
      .catch((error) => this.parts.logger.warn(`sweep of rotations that are due: ${String(error)}`))
      .finally(() => (this.rotating = undefined));
    await this.rotating;
  }

  private async sweepQuick(): Promise<void> {
    for await (const keyId of this.due(true)) {
      const key = await this.parts.store.get(keyId).catch(tamperedIsNone);
      // It may be rotated before its time ends: that waits for a worker.
      if (key && dueChange(key, this.nowMs()) !== 'rotate') await this.take(keyId);
      else if (key) this.slow.add(keyId);
    }
  }

  private async sweepRotations(): Promise<void> {
    const others = this.due(false);
    const next = async (): Promise<string | undefined> => {
      const [first] = this.slow;
      if (first === undefined) return (await others.next()).value;
      this.slow.delete(first);
      return first;
    };
    const lane = async () => {
      for (let keyId = await next(); keyId !== undefined; keyId = await next()) await this.take(keyId);
    };
    await Promise.all(Array.from({ length: rotationsAtOnce }, lane));
  }

  /** Page by page. What could not be recorded is not done: it is still due later. */
  private async *due(quick: boolean): AsyncGenerator<string, undefined> {
    let after: string | undefined;
    do {
      const found: string[] = await this.parts.due.ids(iso(this.nowMs()), pageSize, { quick, after });
      for (const keyId of found) {
        if (this.stopped || !this.parts.trail.commit.available) return;
        yield keyId;
      }
      after = found.length === pageSize ? found.at(-1) : undefined;
    } while (after !== undefined);
  }

  private async take(keyId: string): Promise<void> {
    if (this.stopped || !this.parts.trail.commit.available) return;
    const claimed = await this.claim(keyId);
    if (claimed) await this.lookAfter(claimed);
  }

  private async claim(keyId: string): Promise<Claimed | undefined> {
    const nowMs = this.nowMs();
    try {
      return await this.parts.due.claim(keyId, iso(nowMs), iso(nowMs + claimMs));
    } catch (error) {
      return tamperedIsNone(error);
    }
  }

  private async lookAfter({ key, checkUsage, failures }: Claimed): Promise<void> {
    const { store, bounds, logger } = this.parts;
    const nowMs = this.nowMs();
    let due = dueNow(key, nowMs);
    try {
      const counted = checkUsage ? await store.invocations(key.keyId) : undefined;
      const onUsage = counted && rotatesOnUsage(key) && asksForRotation(counted.invocations, key.primaryVersion, bounds);
      due ??= onUsage ? dueByUsage(key) : undefined;
      if (due) return await this.do(key.keyId, due);
      if (await this.warn(key, nowMs)) await this.parts.due.release(key, dueAfter(key, nowMs), counted);
    } catch (error) {
      if (error instanceof NotDue) return;
      logger.warn(`key ${key.keyId} is not ${due ? said[due.change].done : 'looked after'} yet: ${String(error)}`);
      if (due?.change !== 'rotate') return;
      await this.tellFailure(key, due, error);
      await this.putAside(key, failures);
    }
  }

  private async do(keyId: string, { change, reason, isDue }: Due): Promise<void> {
    const { commands, trail, logger } = this.parts;
    const { action, done } = said[change];
    const entry = { action, principal: 'key-lifecycle', session: 'schedule', keyId, reason };
    let intent: RecordIntent | undefined;
    const { key, recorded } = await commands.change(
      keyId,
      (current) => {
        if (!isDue(current)) throw new NotDue();
        return this.changed(current, change, reason);
      },
      ({ primaryVersion: version, revision }) => {
        intent = trail.intend({ ...entry, version, revisions: {}, revision }, intent?.id);
        return intent;
      },
    );
    logger.log(`key ${keyId} ${done}`);
    try {
      await trail.operation({ ...entry, version: key.primaryVersion, outcome: 'success', revisions: { key: key.revision } }, intent?.id);
      recorded();
    } catch (error) {
      // It stays owed.
      logger.warn(`key ${keyId}: that it was ${done} will be recorded later: ${String(error)}`);
    }
  }

  private async changed(key: Key, change: DueChange, reason: string): Promise<Key> {
    const nowMs = this.nowMs();
    switch (change) {
      case 'destroy':
        return destroyKey(key, nowMs);
      case 'expire-material':
        return expireMaterial(key, nowMs);
      case 'activate':
        return activateKey(key, 'scheduled activation', iso(nowMs));
      case 'deactivate':
        return deactivateKey(key, reason, iso(nowMs));
      case 'rotate':
        assertRotatable(key);
        return rotateKey(key, await this.parts.commands.material(key, ROOT_CONTEXT), reason, iso(nowMs));
    }
  }

  /** False when another replica told it, or the key has changed: then somebody else looks after it. */
  private async warn(key: Key, nowMs: number): Promise<boolean> {
    const { due } = this.parts;
    const from = await due.toldOf(key.keyId);
    const events: CloudEvent[] = [];
    let { told } = from;
    for (let next = warning(key, told, nowMs); next; next = warning(key, told, nowMs)) {
      events.push(next.event);
      told = next.told;
    }
    return events.length === 0 || due.tell(key, from, told, ...events);
  }

  private async putAside(key: Key, failures: number): Promise<void> {
    const nowMs = this.nowMs();
    // Else it is tried again after the claim.
    await this.parts.due.putAside(key, failures, iso(triedAgainAt(key, failures, nowMs))).catch(() => undefined);
  }

  private async tellFailure(key: Key, { at: dueAt }: Due, error: unknown): Promise<void> {
    const { due, logger } = this.parts;
    const { code, detail } = error instanceof ProblemError ? error.toProblem() : { code: 'ERR_INTERNAL', detail: String(error) };
    try {
      const from = await due.toldOf(key.keyId);
      const failure = rotationFailure(key, from.told, this.nowMs(), { code, detail, dueAt });
      if (failure) await due.tell(key, from, failure.told, failure.event);
    } catch (cause) {
      logger.warn(`key ${key.keyId}: that it could not be rotated is not told: ${String(cause)}`);
    }
  }
}

/** That it is tampered with is told where it is read. */
function tamperedIsNone(error: unknown): undefined {
  if (!(error instanceof TamperedDocument)) throw error;
}

function dueNow(key: Key, nowMs: number): Due | undefined {
  const change = dueChange(key, nowMs);
  if (!change) return undefined;
  const at = iso((change === 'deactivate' ? originatorPeriodEnd(key) : nextChange(key)?.atMs) as number);
  return { change, at, reason: reasonOf(key, change, at), isDue: (current) => dueChange(current, nowMs) === change };
}

const dueByUsage = ({ primaryVersion }: Key): Due => ({
  change: 'rotate',
  reason: `version ${primaryVersion} nears the number of encryptions that is safe`,
  isDue: (current) => rotatesOnUsage(current) && current.primaryVersion === primaryVersion,
});

function reasonOf(key: Key, change: DueChange, at: string): string {
  if (change === 'deactivate') return `end of its originator usage period at ${at}`;
  if (change === 'expire-material') return `imported to expire at ${at}`;
  if (change !== 'rotate') return `scheduled for ${at}`;
  if (key.rotationDue?.at === at) return key.rotationDue.reason;
  const schedule = key.rotation?.schedule;
  if (!schedule || key.rotation?.at !== at) return `end of its originator usage period, rotation due at ${at}`;
  return `${'cron' in schedule ? `schedule ${schedule.cron}` : `every ${schedule.everyDays} days`}, due at ${at}`;
}
