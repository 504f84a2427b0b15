import { ProblemError } from '@claviger/contracts';
import type { AuditTrail, RecordIntent } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';
import { activateKey, destroyKey, type Key } from './key';
import type { KeyCommands } from './key-commands';

/** What somebody ordered for a time that has come. `decide` throws when it is no longer to be done. */
interface DueChange {
  action: string;
  reason: string;
  decide: (key: Key, nowMs: number) => Key;
  done: string;
}

const changeOf = (key: Key): DueChange =>
  key.deletionAt === undefined
    ? {
        ...{ action: 'keys:Activate', reason: `scheduled for ${key.activationAt}`, done: 'activated as scheduled' },
        decide: activateWhenDue,
      }
    : {
        ...{ action: 'keys:Destroy', reason: `scheduled for ${key.deletionAt}`, done: 'destroyed as scheduled' },
        decide: destroyKey,
      };

/** Does what is due to keys by itself, and records it as any other change. Several replicas may sweep: one of them wins each key. */
export class DueChanges {
  private timer: NodeJS.Timeout | undefined;
  private sweeping: Promise<void> | undefined;
  private stopped = false;

  constructor(
    private readonly commands: KeyCommands,
    private readonly trail: AuditTrail,
    private readonly logger: LoggerService,
    private readonly nowMs: () => number = Date.now,
  ) {}

  start(everyMs: number): void {
    this.timer = setInterval(() => void this.sweep(), everyMs);
  }

  /** Waits until what was done is recorded. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    await this.sweeping;
  }

  sweep(): Promise<void> {
    this.sweeping ??= this.sweepOnce()
      .catch((error) => this.logger.warn(`sweep of what is due: ${String(error)}`))
      .finally(() => (this.sweeping = undefined));
    return this.sweeping;
  }

  private async sweepOnce(): Promise<void> {
    for (const key of await this.commands.due(this.nowMs())) {
      // What could not be recorded is not done; it is still due later.
      if (this.stopped || !this.trail.commit.available) return;
      const due = changeOf(key);
      try {
        await this.do(key.keyId, due);
      } catch (error) {
        // Another replica was first, or somebody decided otherwise since.
        if (error instanceof ProblemError && nothingDue.has(error.code)) continue;
        this.logger.warn(`key ${key.keyId} is not ${due.done} yet: ${String(error)}`);
      }
    }
  }

  private async do(keyId: string, { action, reason, decide, done }: DueChange): Promise<void> {
    const entry = { action, principal: 'key-lifecycle', session: 'schedule', keyId, reason };
    let intent: RecordIntent | undefined;
    const { key, recorded } = await this.commands.change(
      keyId,
      (current) => decide(current, this.nowMs()),
      ({ revision }) => {
        intent = this.trail.intend({ ...entry, revisions: {}, revision }, intent?.id);
        return intent;
      },
    );
    this.logger.log(`key ${keyId} ${done}`);
    try {
      await this.trail.operation({ ...entry, outcome: 'success', revisions: { key: key.revision } }, intent?.id);
      recorded();
    } catch (error) {
      // It stays owed.
      this.logger.warn(`key ${keyId}: that it was ${done} will be recorded later: ${String(error)}`);
    }
  }
}

const nothingDue: ReadonlySet<string> = new Set(['ERR_KEY_STATE', 'ERR_KEY_SUSPENDED', 'ERR_KEY_PENDING_DELETION']);

function activateWhenDue(key: Key, nowMs: number): Key {
  if (key.activationAt === undefined || Date.parse(key.activationAt) > nowMs)
    throw new ProblemError('ERR_KEY_STATE', 'It is not to be activated now.');
  return activateKey(key, 'scheduled activation', new Date(nowMs).toISOString());
}
