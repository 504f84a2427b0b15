import type { AuditTrail, RecordIntent } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';

/** Records what one publication did to single people. What cannot be recorded now stays owed, so nobody waits for it. */
export async function recordFurther(
  trail: Pick<AuditTrail, 'operation'>,
  intents: readonly RecordIntent[],
  recorded: readonly (() => void)[],
  logger: Pick<LoggerService, 'warn'>,
): Promise<void> {
  await Promise.all(
    intents.map(async ({ id, entry: { revision: bundle, ...entry } }, index) => {
      try {
        await trail.operation({ ...entry, outcome: 'success', revisions: { bundle } }, id);
        recorded[index]?.();
      } catch (error) {
        logger.warn(`${entry.action}: it will be recorded later: ${String(error)}`);
      }
    }),
  );
}
