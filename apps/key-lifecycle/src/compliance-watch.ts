import type { LoggerService } from '@nestjs/common';
import type { Assurance } from './assurance';
import { complianceTale } from './compliance';
import type { DueKeys } from './due-keys';
import type { Floors } from './floors';
import type { Key } from './key';
import { TamperedDocument } from './signed-documents';

/**
 * Tells which keys are less than the profiles in force ask for. It looks at every key that the check of the store reads, since a new profile changes what is
 * true of keys that nobody touches.
 */
export class ComplianceWatch {
  constructor(
    private readonly due: DueKeys,
    private readonly floors: Floors,
    private readonly assurance: Pick<Assurance, 'shortfalls'>,
    private readonly logger: LoggerService,
    private readonly nowMs: () => number = Date.now,
  ) {}

  /** Of several replicas one tells each; what could not be told is told when the key is read again. */
  async look(keys: readonly Key[]): Promise<void> {
    if (!this.floors.known) return;
    const [told, ofTokens] = [await this.due.toldOfAll(keys.map(({ keyId }) => keyId)), await this.assurance.shortfalls(keys)];
    for (const key of keys)
      try {
        const from = told(key.keyId);
        const tale = complianceTale(key, from.told, { floor: this.floors.of(key), ofTokens: ofTokens(key) }, this.nowMs());
        if (tale) await this.due.tell(key, from, tale.told, ...tale.events);
      } catch (error) {
        // That it is tampered with is told where it is read.
        if (!(error instanceof TamperedDocument))
          this.logger.warn(`key ${key.keyId}: what is less than its floor is not told: ${String(error)}`);
      }
  }
}
