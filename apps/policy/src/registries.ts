import type { Evaluator } from '@claviger/authz';
import type { BundleView } from '@claviger/contracts';
import { Registry } from './registry';

/** Who is who, by the bundle that is in force in this process: a bundle that the evaluator refused changes nothing here either. */
export class Registries {
  current: Registry | undefined;

  constructor(private readonly evaluator: Pick<Evaluator, 'current'>) {}

  /** After the evaluator has seen the same view. */
  follow({ hash }: Pick<BundleView, 'hash'>): void {
    const inForce = this.evaluator.current;
    if (inForce?.hash === hash) this.current = new Registry(inForce.bundle);
  }
}
