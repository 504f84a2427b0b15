import { HsmError, type KeyHandle, type Token } from '@claviger/hsm';
import { Skip, type Verdict } from '../outcome';
import type { Group, Vector } from './vectors';

/** Judges the vectors of one group; asked once for the group, so that its key is brought in once. Throws Skip for a group that Claviger has no part in. */
export type Suite = (token: Token, group: Group, algorithm: string) => (vector: Vector) => Verdict | Promise<Verdict>;

/** Everything is refused under a key that is. */
export const refusesAll = (): Verdict => 'rejected';

const refusals: ReadonlySet<string> = new Set(['HSM_AUTHENTICATION_FAILED', 'HSM_ARGUMENT_INVALID', 'HSM_WRAPPED_KEY_INVALID']);
const isRefusal = (error: unknown) => error instanceof HsmError && refusals.has(error.code);

/** What `use` gives, or undefined when it refuses what it was given. Whatever else it throws is a failure. */
export function given<T>(use: () => T): T | undefined {
  try {
    return use();
  } catch (error) {
    if (isRefusal(error)) return undefined;
    throw error;
  }
}

/** The same for calls that end later. */
export const givenLater = <T>(use: Promise<T>): Promise<T | undefined> =>
  use.catch((error: unknown) => {
    if (isRefusal(error)) return undefined;
    throw error;
  });

export const compared = (made: Buffer | undefined, expected: Buffer): Verdict =>
  made === undefined ? 'rejected' : made.equals(expected) ? 'accepted' : 'mismatch';

/** A key for one vector. */
export function withKey<T>(token: Token, key: KeyHandle, use: (key: KeyHandle) => T): T {
  try {
    return use(key);
  } finally {
    token.destroyObject(key);
  }
}

export function oneOf<K extends string, V>(table: Readonly<Record<K, V>>, name: string, why: string): V {
  if (!Object.hasOwn(table, name)) throw new Skip(`${name}: ${why}`);
  return table[name as K];
}
