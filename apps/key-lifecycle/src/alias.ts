import { type AliasView, algorithms, ProblemError } from '@claviger/contracts';
import { type Key, refuseWhileDeleting } from './key';

/** A name of a key, as it is stored. */
export interface KeyAlias {
  alias: string;
  /** Where it points, or pointed last. */
  keyId: string;
  revision: number;
  deleted: boolean;
}

/** To which key it points now. */
export const targetOf = (alias: KeyAlias | undefined): string | undefined =>
  alias === undefined || alias.deleted ? undefined : alias.keyId;

/** Set once more to the same key it has a new revision: what the workers can confirm. */
export const pointAlias = (current: KeyAlias | undefined, alias: string, keyId: string): KeyAlias => ({
  ...{ alias, keyId, deleted: false },
  revision: (current?.revision ?? 0) + 1,
});

export const deleteAlias = (current: KeyAlias): KeyAlias => ({ ...current, deleted: true, revision: current.revision + 1 });

/**
 * Whoever names the alias goes on as before: with the same kind of requests, in the same environment. @throws ProblemError ERR_ALIAS_MISMATCH, and what
 * tells that the key is destroyed or will be
 */
export function assertPointable(to: Key, from: Key | undefined): void {
  refuseWhileDeleting(to);
  if (from === undefined) return;
  if (to.environment !== from.environment)
    throw new ProblemError('ERR_ALIAS_MISMATCH', `It points to a key of ${from.environment}; this one is of ${to.environment}.`);
  if (to.usage !== from.usage)
    throw new ProblemError('ERR_ALIAS_MISMATCH', `It points to a key that is used to ${from.usage}; this one is used to ${to.usage}.`);
  if (isPair(to) !== isPair(from))
    throw new ProblemError('ERR_ALIAS_MISMATCH', `It points to an ${from.algorithm} key, which takes other requests than ${to.algorithm}.`);
}

const isPair = ({ algorithm }: Key): boolean => algorithms[algorithm].pair;

/** What the workers get, signed. */
export const viewAlias = (alias: KeyAlias): AliasView => {
  const keyId = targetOf(alias);
  return { kind: 'alias', id: alias.alias, revision: alias.revision, alias: alias.alias, ...(keyId === undefined ? {} : { keyId }) };
};
