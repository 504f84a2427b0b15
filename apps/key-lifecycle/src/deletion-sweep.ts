import { ProblemError } from '@claviger/contracts';
import type { AuditTrail, RecordIntent } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';
import type { Key } from './key';
import type { KeyCommands } from './key-commands';

/** Destroys keys whose waiting period is over, and records each destruction. Several replicas may sweep: one of them wins each key. */
export class DeletionSweep {
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

  /** Waits until what was destroyed is recorded. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    await this.sweeping;
  }

  sweep(): Promise<void> {
    this.sweeping ??= this.sweepOnce()
      .catch((error) => this.logger.warn(`deletion sweep: ${String(error)}`))
      .finally(() => (this.sweeping = undefined));
    return this.sweeping;
  }

  private async sweepOnce(): Promise<void> {
    for (const key of await this.commands.due(this.nowMs())) {
      // What could not be recorded is not done; it is still due later.
      if (this.stopped || !this.trail.commit.available) return;
      try {
        await this.destroy(key);
      } catch (error) {
        // Another replica was first, or its deletion was cancelled since.
        if (error instanceof ProblemError && error.code === 'ERR_KEY_STATE') continue;
        this.logger.warn(`key ${key.keyId} is not destroyed yet: ${String(error)}`);
      }
    }
  }

  private async destroy({ keyId, deletionAt }: Key): Promise<void> {
    const entry = { action: 'keys:Destroy', principal: 'key-lifecycle', session: 'schedule', keyId, reason: `scheduled for ${deletionAt}` };
    let intent: RecordIntent | undefined;
    const { key, recorded } = await this.commands.destroy(keyId, this.nowMs(), ({ revision }) => {
      intent = this.trail.intend({ ...entry, revisions: {}, revision }, intent?.id);
      return intent;
    });
    this.logger.log(`key ${keyId} destroyed as scheduled`);
    try {
      await this.trail.operation({ ...entry, outcome: 'success', revisions: { key: key.revision } }, intent?.id);
      recorded();
    } catch (error) {
      // It stays owed.
      this.logger.warn(`key ${keyId}: that it was destroyed will be recorded later: ${String(error)}`);
    }
  }
}
