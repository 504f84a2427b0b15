import type { AuditTrail } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';
import type { KeyCommands } from './key-commands';

/** Destroys keys whose waiting period is over, and records each destruction. Several replicas may sweep: one of them wins each key. */
export async function sweepDeletions(commands: KeyCommands, trail: AuditTrail, logger: LoggerService, nowMs: number): Promise<void> {
  if (!trail.commit.available) return;
  for (const key of await commands.destroyDue(nowMs)) {
    await trail.operation({
      action: 'keys:Destroy',
      principal: 'key-lifecycle',
      session: 'schedule',
      keyId: key.keyId,
      outcome: 'success',
      reason: `scheduled for ${key.deletionAt}`,
      revisions: { key: key.revision },
    });
    logger.log(`key ${key.keyId} destroyed as scheduled`);
  }
}
