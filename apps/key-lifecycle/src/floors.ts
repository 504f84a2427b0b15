import { type Evaluator, type Floor, floorOf } from '@claviger/authz';
import type { Key } from './key';

/** The floors of keys, by the policy bundle that this process holds: nobody is asked. */
export class Floors {
  constructor(private readonly policies: Pick<Evaluator, 'current'>) {}

  /** Whether there is a bundle: before the first nothing is known of any floor. */
  get known(): boolean {
    return this.policies.current !== undefined;
  }

  of(key: Pick<Key, 'environment' | 'classification'>): Floor {
    return floorOf(this.policies.current?.bundle.profiles ?? [], key);
  }
}
