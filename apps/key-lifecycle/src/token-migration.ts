import { type JobFailure, type KeyKind, ProblemError, type Region, residesIn, type TokenSighting } from '@claviger/contracts';
import type { Key } from './key';
import { isUnfinished, type RewrapJob, rootIn } from './rewrap-job';
import { currentRoot, nextRootLabel, type Root } from './root';

/** Where keys are to go, as every worker sees it. */
export interface Destination {
  token: string;
  region?: Region | undefined;
  /** The token that is the first of all workers; undefined where they do not agree. */
  first: string | undefined;
  /** What it cannot make or use, of what was asked. */
  lacks: KeyKind[];
}

/**
 * Whether every worker reaches the token: keys that go there would be refused by the others. Throws ERR_NOT_FOUND (none has it), ERR_HSM_UNAVAILABLE (some do not
 * reach it), ERR_CONFLICT (they do not agree where it is).
 */
export function destinationOf(token: string, sightings: readonly TokenSighting[]): Destination {
  const workersThat = (is: TokenSighting['token']) => sightings.filter((one) => one.token === is).map(({ worker }) => worker);
  const [unknown, away] = [workersThat('unknown'), workersThat('away')];
  if (unknown.length === sightings.length)
    throw new ProblemError('ERR_NOT_FOUND', `No worker has a token ${token}: name it in FURTHER_TOKENS_FILE of each.`);
  if (unknown.length > 0)
    throw new ProblemError('ERR_HSM_UNAVAILABLE', `${some(unknown)} without token ${token}: name it in FURTHER_TOKENS_FILE.`);
  if (away.length > 0) throw new ProblemError('ERR_HSM_UNAVAILABLE', `${some(away)} that cannot open token ${token}, or see it fail.`);
  const regions = new Set(sightings.map(({ region }) => region));
  if (regions.size > 1) throw new ProblemError('ERR_CONFLICT', `Workers do not agree where token ${token} is: ${[...regions].join(', ')}.`);
  const firsts = new Set(sightings.map(({ first }) => first));
  const lacks = new Map(sightings.flatMap((one) => one.lacks).map((kind) => [textOf(kind), kind]));
  return { token, region: [...regions][0], first: firsts.size === 1 ? [...firsts][0] : undefined, lacks: [...lacks.values()] };
}

/**
 * A root in another token than the current one. Throws ERR_KEY_STATE: it is there already; ERR_CONFLICT: nobody can tell which token the roots are in that no token
 * is named of.
 */
export function assertLeaves(roots: readonly Root[], { token, first }: Destination): void {
  const isUnnamed = (root: Root) => root.state !== 'destroyed' && root.token === undefined;
  if (first === undefined && roots.some(isUnnamed))
    throw new ProblemError('ERR_CONFLICT', 'Workers do not agree on their first token (HSM_TOKEN_LABEL), which holds the root.');
  if ((currentRoot(roots).token ?? first) === token) throw new ProblemError('ERR_KEY_STATE', `The root is in token ${token} already.`);
}

/** One job for each root and token that it is to be in, so that of two who ask at once there is one. */
export const migrationJob = (
  roots: readonly Root[],
  token: string,
  asked: Pick<RewrapJob, 'reason' | 'startedBy'>,
  now: string,
): RewrapJob => rootIn(nextRootLabel(roots), token, asked, now);

/**
 * Of jobs, the newest first: the one that whoever asks for a root there gets, since it is under way, or failed and is to be resumed. Without a token: where the
 * current one is. Throws ERR_CONFLICT while another one moves KEKs. One that failed is in nobody's way: a later root takes over all that is under any before, and it
 * may be just what it could not do that the later one is for. After another one it is not to be resumed either.
 */
export function rootJobUnderWay(jobs: readonly RewrapJob[], token?: string): RewrapJob | undefined {
  const isAskedFor = (job: RewrapJob) => job.token === token;
  const [newest, ...before] = jobs.filter((job) => job.kind !== 'rotate-kek' && (isAskedFor(job) || !changedNothing(job)));
  const inHand = [newest, ...before].find((job) => job !== undefined && isUnfinished(job));
  if (inHand && !isAskedFor(inHand))
    throw new ProblemError('ERR_CONFLICT', `${inHand.jobId} moves key-encryption keys and is ${inHand.state}: let it end first.`);
  return inHand ?? (newest?.state === 'failed' && isAskedFor(newest) ? newest : undefined);
}

export const changedNothing = ({ state, phase }: RewrapJob): boolean => state === 'failed' && phase === 'checking';

/** How keys are used that go with their KEKs. */
export const kindsOf = (keys: readonly Key[]): KeyKind[] => [
  ...new Map(keys.filter(isWrapped).map(({ algorithm, usage }) => [textOf({ algorithm, usage }), { algorithm, usage }])).values(),
];

/** Of those, the ones that must not, or could not, be used in that token. */
export function refusals(keys: readonly Key[], { token, region, lacks }: Destination, isAssured: (key: Key) => boolean): JobFailure[] {
  const lacked = new Set(lacks.map(textOf));
  return keys.filter(isWrapped).flatMap((key): JobFailure[] => {
    const { keyId: id, residency } = key;
    if (!residesIn(residency, region)) {
      const place = region === undefined ? 'nobody said where it is' : `it is in ${region}`;
      return [{ id, code: 'ERR_RESIDENCY', detail: `the key may be in ${residency?.join(', ')}, and of token ${token} ${place}` }];
    }
    if (!isAssured(key))
      return [
        {
          id,
          code: 'ERR_ASSURANCE',
          detail: `the validation of token ${token} on record is less than the profile of a ${key.classification} ${key.environment} key asks for`,
        },
      ];
    if (lacked.has(textOf(key)))
      return [{ id, code: 'ERR_ALGORITHM_UNAVAILABLE', detail: `token ${token} cannot ${key.usage} with ${key.algorithm}` }];
    return [];
  });
}

/** Keys of which a version is kept as objects of that token: these do not go with any KEK. */
export const staying = (keys: readonly Key[], token: string | undefined): number =>
  keys.filter(({ versions }) => versions.some(({ material }) => material?.custody === 'token' && material.token === token)).length;

/** What is kept as objects of a token does not go anywhere. */
const isWrapped = ({ versions }: Key): boolean => versions.some(({ material }) => material?.custody === 'wrapped');
const textOf = ({ algorithm, usage }: KeyKind): string => `${algorithm} ${usage}`;
const some = ([one, ...others]: string[]): string =>
  others.length === 0 ? `There is a worker, ${one},` : `There are workers, ${one} and ${others.length} more,`;
