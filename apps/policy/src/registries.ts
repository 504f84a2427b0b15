import type { Evaluator } from '@claviger/authz';
import { bundleHash, issueText } from '@claviger/authz';
import { type BundleView, PolicyBundle } from '@claviger/contracts';
import type { LoggerService } from '@nestjs/common';
import { Registry } from './registry';

/** Puts each bundle that the view accepts in force in this process: for decisions and for who is who. A refused one leaves the old in force. */
export class Registries {
  current: Registry | undefined;

  constructor(
    private readonly evaluator: Pick<Evaluator, 'load'>,
    private readonly logger: LoggerService,
  ) {}

  apply(view: BundleView): void {
    const shaped = PolicyBundle.safeParse(view.bundle);
    if (!shaped.success || bundleHash(shaped.data) !== view.hash || shaped.data.revision !== view.revision)
      return this.logger.error(`policy bundle ${view.revision} refused: it is not what its hash says`);
    const loaded = this.evaluator.load(shaped.data);
    if (!loaded.ok) return this.logger.error(`policy bundle ${view.revision} refused: ${loaded.issues.map(issueText).join('; ')}`);
    this.current = new Registry(shaped.data);
    this.logger.log(`policy bundle ${view.revision} is in force`);
  }
}
