import type { Evaluator } from '@claviger/authz';
import { Registry } from './registry';

/** Who is who, by the bundle that is in force in this process: a bundle that the evaluator refused changes nothing here either. */
export class Registries {
  current: Registry | undefined;

  constructor(private readonly evaluator: Pick<Evaluator, 'current'>) {}

  /** After the evaluator has put a bundle in force. */
  follow(): void {
    const inForce = this.evaluator.current;
    if (inForce) this.current = new Registry(inForce.bundle);
  }
}
