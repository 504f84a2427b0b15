import { certifierOf, isGenerationOf, ProblemError, type TokenObjectName, type TokenSighting, type Trust } from '@claviger/contracts';
import type { Root } from './root';

/** What is in a token, by whom it matters to. */
export interface Contents {
  /** Keys of Claviger: nothing may end while they are there. */
  keys: TokenObjectName[];
  /** What only its workers needed of it. */
  leavings: TokenObjectName[];
  /** What others have put there. */
  foreign: TokenObjectName[];
}

const certifierLabel = 'certifier';
const canary = 'claviger-canary';
/** Labels that Claviger gives to keys, and nobody else should. */
const isKey = ({ label }: TokenObjectName): boolean => /^(root(-[1-9][0-9]*)?|key-[0-9a-f]{24})$/.test(label);

/**
 * `certifier`: the public half of the pair of that name. Ours is only one that trust.json names as a certifier of workers: another's pair of the same name is
 * not ours to destroy.
 */
export function contentsOf(
  objects: readonly TokenObjectName[],
  certifier: string | undefined,
  { certifiers }: Pick<Trust, 'certifiers'>,
): Contents {
  const kids = Object.keys(certifiers).filter((kid) => isGenerationOf(kid, certifierOf['crypto-worker'] as string));
  const isCertifierOurs = certifier !== undefined && kids.some((kid) => certifiers[kid] === certifier);
  const isLeaving = (one: TokenObjectName) =>
    (one.class === 'data' && one.label === canary) ||
    (isCertifierOurs && one.label === certifierLabel && (one.class === 'private' || one.class === 'public'));
  return {
    keys: objects.filter(isKey),
    leavings: objects.filter((one) => !isKey(one) && isLeaving(one)),
    foreign: objects.filter((one) => !isKey(one) && !isLeaving(one)),
  };
}

/** Throws ERR_TOKEN_NOT_EMPTY: a root is in it, or nobody has said that none is; a worker's records are certified by it. */
export function assertLeft(token: string, roots: readonly Root[], sightings: readonly TokenSighting[]): void {
  const living = roots.filter(({ state }) => state !== 'destroyed');
  const here = living.find((root) => root.token === token);
  if (here)
    throw notEmpty(
      `${here.label} is in token ${token} and ${here.state}: move what is under it (claviger keks migrate), then claviger keks destroy-root ${here.label}.`,
    );
  const unnamed = living.find((root) => root.token === undefined);
  if (unnamed) throw notEmpty(`Nobody has said in which token ${unnamed.label} is: no keys were moved from one to another yet.`);
  const first = sightings.find((one) => one.token === 'first');
  if (first) throw notEmpty(`Token ${token} is the first of ${first.worker} and certifies its records (HSM_TOKEN_LABEL).`);
}

/** Throws ERR_TOKEN_NOT_EMPTY. */
export function assertNoKeys(token: string, { keys, foreign }: Contents, leaveForeign: boolean): void {
  if (keys.length > 0)
    throw notEmpty(`Token ${token} holds ${told(keys)}: what stays in a token does not move (claviger keys list --custody token).`);
  if (foreign.length > 0 && !leaveForeign)
    throw notEmpty(`Token ${token} holds ${told(foreign)}, which Claviger has not made: look at them, then say that they may stay.`);
}

/** What is left must be what was there of others, and nothing else. Throws ERR_TOKEN_NOT_EMPTY. */
export function assertOnly(token: string, left: readonly TokenObjectName[], foreign: readonly TokenObjectName[]): void {
  const expected = foreign.map(textOf);
  const more = left.filter((one) => {
    const at = expected.indexOf(textOf(one));
    if (at === -1) return true;
    expected.splice(at, 1);
    return false;
  });
  if (more.length > 0) throw notEmpty(`Token ${token} holds ${told(more)} after all else was destroyed.`);
}

export const rootsThatWere = (token: string, roots: readonly Root[]) =>
  roots.flatMap(({ label, token: where, destroyedAt }) => (where === token && destroyedAt !== undefined ? [{ label, destroyedAt }] : []));

const notEmpty = (detail: string) => new ProblemError('ERR_TOKEN_NOT_EMPTY', detail);
const textOf = ({ class: of, label, id }: TokenObjectName): string => JSON.stringify([of, label, id]);
const told = ([first, ...others]: readonly TokenObjectName[]): string => {
  const { class: of, label, id } = first as TokenObjectName;
  const one = `${of} ${label === '' ? `without a label, id ${id || 'none'}` : label}`;
  return others.length === 0 ? one : `${one} and ${others.length} more objects`;
};
