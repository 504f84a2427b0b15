import type { LoggerService } from '@nestjs/common';
import type { ImportStore } from './import-store';

/** Import parameters that nobody used in time are removed, their private halves with them. Several replicas may sweep. */
export class ExpiredImports {
  private timer: NodeJS.Timeout | undefined;
  private sweeping: Promise<void> | undefined;

  constructor(
    private readonly imports: Pick<ImportStore, 'sweep'>,
    private readonly logger: LoggerService,
  ) {}

  start(everyMs: number): void {
    this.timer = setInterval(() => void this.sweep(Date.now()), everyMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.sweeping;
  }

  sweep(nowMs: number): Promise<void> {
    this.sweeping ??= this.imports
      .sweep(nowMs)
      .then((count) => count > 0 && this.logger.log(`${count} import parameters expired unused`))
      .catch((error) => this.logger.warn(`sweep of import parameters: ${String(error)}`))
      .then(() => (this.sweeping = undefined));
    return this.sweeping;
  }
}
