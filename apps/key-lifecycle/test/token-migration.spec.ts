import { JobId, type TokenSighting } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { createKey } from '../src/key';
import { pauseJob, type RewrapJob, rootJob } from '../src/rewrap-job';
import { allRoots, destroyRoot, newRoot, placedRoot, retireRoot } from '../src/root';
import {
  assertLeaves,
  changedNothing,
  destinationOf,
  kindsOf,
  migrationJob,
  refusals,
  rootJobUnderWay,
  staying,
} from '../src/token-migration';
import { about, newKey } from './keys-under-test';

const now = '2026-03-01T12:00:00.000Z';
const asked = { reason: 'the HSM is leased', startedBy: 'kim' };
const seen = (n: number, more: Partial<TokenSighting> = {}): TokenSighting => ({
  ...{ worker: `crypto-worker.w${n}`, first: 'customer', token: 'further', region: 'eu', lacks: [] },
  ...more,
});
const to = (...sightings: TokenSighting[]) => destinationOf('hsm-2', sightings);

test('keys go only where every worker reaches them; where that is, all say alike', () => {
  expect(to(seen(1), seen(2))).toEqual({ token: 'hsm-2', region: 'eu', first: 'customer', lacks: [] });
  expect(() => to(seen(1, { token: 'unknown' }), seen(2, { token: 'unknown' }))).toThrow(/ERR_NOT_FOUND/);
  expect(() => to(seen(1), seen(2, { token: 'unknown' }))).toThrow(/ERR_HSM_UNAVAILABLE.*crypto-worker\.w2/);
  expect(() => to(seen(1, { token: 'away' }), seen(2))).toThrow(/ERR_HSM_UNAVAILABLE.*crypto-worker\.w1/);
  expect(() => to(seen(1, { region: 'us' }), seen(2))).toThrow(/ERR_CONFLICT/);
  const lacks = [{ algorithm: 'ML_KEM_768', usage: 'encapsulate' }] as const;
  expect(to(seen(1, { lacks: [...lacks] }), seen(2, { lacks: [...lacks] })).lacks).toEqual(lacks);
});

test('a root does not go where it is; where the roots are that no token is named of, all workers must agree', () => {
  const first = allRoots([]);
  assertLeaves(first, to(seen(1), seen(2)));
  expect(() => assertLeaves(first, to(seen(1), seen(2, { first: 'hsm-2', token: 'first' })))).toThrow(/ERR_CONFLICT/);
  expect(() => assertLeaves(first, to(seen(1, { first: 'hsm-2', token: 'first' })))).toThrow(/ERR_KEY_STATE/);
  const placed = [placedRoot(retireRoot(first[0]!, now), 'customer'), newRoot('root-2', now, 'hsm-1')];
  assertLeaves(placed, to(seen(1), seen(2, { first: 'hsm-1' })));
  expect(() => assertLeaves([...placed, newRoot('root-3', now, 'hsm-2')], to(seen(1)))).toThrow(/ERR_KEY_STATE/);
  // Of one that is destroyed it does not matter any more, and what is said stays said.
  const gone = destroyRoot(retireRoot(first[0]!, now), now);
  expect([placedRoot(gone, 'customer'), placedRoot(placed[0]!, 'elsewhere')]).toEqual([gone, placed[0]]);
});

test('one job moves KEKs at a time; whoever asks for the same token gets the same job, and what changed nothing is in nobody’s way', () => {
  const roots = allRoots([]);
  const job = migrationJob(roots, 'HSM.2', asked, now);
  expect(job).toMatchObject({ jobId: 'job_root-2-in-_h_s_m_-2', to: 'root-2', token: 'HSM.2', phase: 'checking' });
  const labels = ['hsm-2', 'HSM-2', 'hsm.2', 'hsm_2', 'hsm_-2', 'h__sm-2', 'W'.repeat(32)];
  const ids = labels.map((label) => migrationJob([...roots, newRoot('root-1000', now)], label, asked, now).jobId);
  expect([new Set(ids).size, ids.every((id) => JobId.safeParse(id).success)]).toEqual([labels.length, true]);
  const failed: RewrapJob = { ...job, state: 'failed' };
  const later: RewrapJob = { ...failed, phase: 'preparing' };
  for (const one of [job, pauseJob(job), failed, later]) expect(rootJobUnderWay([one], 'HSM.2')).toBe(one);
  expect([changedNothing(failed), changedNothing(later)]).toEqual([true, false]);
  const rotation = rootJob(roots, asked, now);
  for (const state of ['running', 'paused'] as const) {
    for (const token of ['other', undefined]) expect(() => rootJobUnderWay([{ ...job, state }], token)).toThrow(/ERR_CONFLICT/);
    expect(() => rootJobUnderWay([later, { ...rotation, state }], 'HSM.2')).toThrow(/ERR_CONFLICT/);
    expect(rootJobUnderWay([failed, { ...rotation, state }])).toMatchObject({ jobId: rotation.jobId, state });
  }
  // One that failed is in nobody's way, and is resumed unless another one came after it that changed something.
  const failedRotation: RewrapJob = { ...rotation, state: 'failed' };
  for (const token of ['other', undefined]) expect(rootJobUnderWay([later, failedRotation], token)).toBeUndefined();
  expect(rootJobUnderWay([failed, failedRotation])).toBe(failedRotation);
  expect([rootJobUnderWay([failedRotation, later], 'HSM.2'), rootJobUnderWay([{ ...job, state: 'done' }], 'HSM.2')]).toEqual([
    undefined,
    undefined,
  ]);
});

test('keys that may not be there, or could not be used there, are told by name; what has no material, or is an object of a token, does not go there', () => {
  const [anywhere, resident, signer] = [newKey(), newKey({ residency: ['us'] }), newKey({ algorithm: 'EC_SECP256K1', usage: 'sign' })];
  const empty = { ...newKey({ residency: ['us'] }), versions: [] };
  const token = { custody: 'token', family: 'kryoptic', token: 'post-quantum', label: `key-${'0'.repeat(24)}` } as const;
  const stays = createKey(about({ algorithm: 'ML_DSA_65', usage: 'sign', residency: ['us'] }), { material: token }, now);
  const keys = [anywhere, resident, signer, empty, stays];
  expect(kindsOf([...keys, newKey()])).toEqual([
    { algorithm: 'AES_256', usage: 'encrypt' },
    { algorithm: 'EC_SECP256K1', usage: 'sign' },
  ]);
  expect([staying(keys, 'post-quantum'), staying(keys, 'customer')]).toEqual([1, 0]);
  const where = to(seen(1, { lacks: [{ algorithm: 'EC_SECP256K1', usage: 'sign' }] }));
  expect(refusals(keys, where, () => true).map(({ id, code }) => [id, code])).toEqual([
    [resident.keyId, 'ERR_RESIDENCY'],
    [signer.keyId, 'ERR_ALGORITHM_UNAVAILABLE'],
  ]);
  expect(refusals([anywhere, stays], where, () => false).map(({ id, code }) => [id, code])).toEqual([[anywhere.keyId, 'ERR_ASSURANCE']]);
  expect(refusals([resident], { ...where, region: undefined }, () => true)).toMatchObject([{ code: 'ERR_RESIDENCY' }]);
});
