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

/** What is left must be what was there of others: no more, and no less. Throws ERR_TOKEN_NOT_EMPTY, ERR_INTERNAL. */
export function assertOnly(token: string, left: readonly TokenObjectName[], foreign: readonly TokenObjectName[]): void {
  const more = without(left, foreign);
  if (more.length > 0) throw notEmpty(`Token ${token} holds ${told(more)} after all else was destroyed.`);
  const less = without(foreign, left);
  if (less.length > 0) throw new ProblemError('ERR_INTERNAL', `Token ${token} does not hold ${told(less)} any more, which was to stay.`);
}

function without(objects: readonly TokenObjectName[], others: readonly TokenObjectName[]): TokenObjectName[] {
  const rest = others.map(textOf);
  return objects.filter((one) => {
    const at = rest.indexOf(textOf(one));
    if (at !== -1) rest.splice(at, 1);
    return at === -1;
  });
}

/** The store is asked too: what a worker sees is of one device. Throws ERR_TOKEN_NOT_EMPTY. */
export function assertNoneStays(token: string, { within, unread }: { within: ReadonlyMap<string, number>; unread: number }): void {
  const stay = within.get(token) ?? 0;
  if (stay > 0)
    throw notEmpty(
      `${stay} keys have versions that stay in token ${token} (claviger keys list --custody token): rotate or delete them first.`,
    );
  if (unread > 0) throw notEmpty(`${unread} documents of keys that stay in a token were tampered with: in which is not known.`);
}

export const rootsThatWere = (token: string, roots: readonly Root[]) =>
  roots.flatMap(({ label, token: where, destroyedAt }) => (where === token && destroyedAt !== undefined ? [{ label, destroyedAt }] : []));

const notEmpty = (detail: string) => new ProblemError('ERR_TOKEN_NOT_EMPTY', detail);
const textOf = ({ class: of, label, id }: TokenObjectName): string => JSON.stringify([of, label, id]);
export const nameOfObject = ({ class: of, label }: TokenObjectName): string => `${of} ${label}`;
const told = ([first, ...others]: readonly TokenObjectName[]): string => {
  const { class: of, label, id } = first as TokenObjectName;
  const one = `${of} ${label === '' ? `without a label, id ${id || 'none'}` : label}`;
  return others.length === 0 ? one : `${one} and ${others.length} more objects`;
};
