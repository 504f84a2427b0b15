import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { currentKek, destroyKek, isUsableStill, kekAsNow, newKek, nextGeneration, retireKek, viewKek } from '../src/kek';
import {
  describeJob,
  kekJob,
  type PageOutcome,
  pageDone,
  pauseJob,
  prepared,
  type RewrapJob,
  resumeJob,
  rootJob,
  settleMs,
  settling,
  troubled,
  underWay,
} from '../src/rewrap-job';
import { allRoots, currentRoot, destroyRoot, newRoot, nextRootLabel, retireRoot } from '../src/root';

const now = '2026-03-01T12:00:00.000Z';
const later = (ms: number) => new Date(Date.parse(now) + ms).toISOString();
const pair = { environment: 'production', classification: 'internal' } as const;
const material = { rootLabel: 'root', mechanism: 1, family: 'softhsm', wrapped: 'w' };
const kek = (generation: number) => newKek(pair, generation, material, now);
const asked = { reason: 'yearly', startedBy: 'kim' };
const job = (): RewrapJob => kekJob(pair, [kek(1)], asked, now);
const ready = (from = ['kek_production_internal_1'], total = 10) => prepared(job(), { from, total, currentSince: now }, now);
const page = (more: Partial<PageOutcome> = {}): PageOutcome => ({
  ...{ read: 0, found: 0, done: 0, conflicts: 0, failures: [], unread: 0, next: undefined },
  ...more,
});
const failure = { id: 'k_1', code: 'ERR_KEY_UNREADABLE', detail: 'd' } as const;
/** All is rewrapped, and nobody can be using the old KEK any more … */
const waiting = () => pageDone(ready(), page({ found: 10, done: 10 }), now);
/** … for which it waited. */
const verifying = () => settling(waiting(), later(settleMs)).job;

test('the newest active KEK wraps what is new; one that is destroyed has no material, and no generation comes twice', () => {
  const retired = retireKek(kek(2), now);
  expect(currentKek([kek(1), retired, kek(10), kek(9)])?.kekId).toBe('kek_production_internal_10');
  expect(currentKek([retired])).toBeUndefined();
  const gone = destroyKek(retired, now);
  expect(gone).not.toHaveProperty('material');
  expect(viewKek(gone)).toMatchObject({ state: 'destroyed', revision: 3 });
  expect(nextGeneration([gone, kek(1)])).toBe(3);
  expect(nextGeneration([])).toBe(1);
  expect(() => destroyKek(kek(1), now)).toThrow('ERR_KEY_STATE');
  expect([retireKek(retired, later(1)), destroyKek(gone, later(1))]).toEqual([retired, gone]);
});

test('what is under a KEK may be stored while it is active, or retiring as it was before; not once it was retired since, is destroyed or gone', () => {
  const [active, retiring] = [kek(1), retireKek(kek(1), now)];
  const destroyed = destroyKek(retiring, now);
  expect([isUsableStill(active, active), isUsableStill(active, undefined), isUsableStill(retiring, retiring)]).toEqual([true, true, true]);
  const not = [isUsableStill(retiring, active), isUsableStill(retiring, undefined), isUsableStill(destroyed, retiring)];
  expect([...not, isUsableStill(destroyed, destroyed), isUsableStill(undefined, active)]).toEqual([false, false, false, false, false]);
});

test('an active KEK looks to workers as before there were states', () => {
  const { state: _, createdAt: __, ...earlier } = kek(1);
  expect(kekAsNow(earlier)).toMatchObject({ state: 'active' });
  expect(viewKek(kekAsNow(earlier))).toEqual({ kind: 'kek', id: earlier.kekId, ...earlier });
});

test('roots are counted from that of the ceremony', () => {
  const second = newRoot('root-2', now);
  expect(currentRoot(allRoots([])).label).toBe('root');
  expect(nextRootLabel(allRoots([]))).toBe('root-2');
  const roots = allRoots([newRoot('root-10', now), second, retireRoot(allRoots([])[0]!, now)]);
  expect(roots.map(({ label }) => label)).toEqual(['root', 'root-2', 'root-10']);
  expect([currentRoot(roots).label, nextRootLabel(roots)]).toEqual(['root-10', 'root-11']);
  expect(() => destroyRoot(second, now)).toThrow('ERR_KEY_STATE');
  expect(destroyRoot(roots[0]!, now)).toMatchObject({ state: 'destroyed', revision: 3 });
});

test('a job is named after what it makes', () => {
  expect([job().jobId, rootJob(allRoots([]), asked, now).jobId]).toEqual(['job_kek_production_internal_2', 'job_root-2']);
});

test('who asks for the same again gets what is under way, and what failed unless it was followed by another', () => {
  const [running, paused, done, failed] = (['running', 'paused', 'done', 'failed'] as const).map((state) => ({ ...job(), state }));
  const of = (...jobs: (RewrapJob | undefined)[]) => underWay(jobs as RewrapJob[], 'rotate-kek', pair)?.state;
  expect([of(), of(running), of(done, paused), of(failed), of(done, failed), of(done)]).toEqual([
    undefined,
    'running',
    'paused',
    'failed',
    undefined,
    undefined,
  ]);
  expect(underWay([job()], 'rotate-kek', { ...pair, environment: 'staging' })).toBeUndefined();
  expect(underWay([job()], 'rotate-root')).toBeUndefined();
});

test('the last pass begins when nobody can be using the old KEK any more', () => {
  expect(waiting()).toMatchObject({ phase: 'verifying', notBefore: later(settleMs), done: 10 });
  expect(describeJob(waiting(), Date.parse(now))).toMatchObject({ waitsUntil: later(settleMs) });
  expect(describeJob(waiting(), Date.parse(later(settleMs)))).not.toHaveProperty('waitsUntil');
});

test('paused and resumed while it waits it goes on waiting, and whatever is tried before, nothing is read or destroyed', () => {
  expect(resumeJob(pauseJob(waiting()))).toMatchObject({ phase: 'verifying', state: 'running', notBefore: later(settleMs) });
  const { notBefore: _, ...hasty } = waiting();
  for (const job of [hasty, { ...hasty, phase: 'destroying' as const }]) {
    expect(settling(job, later(settleMs - 1))).toMatchObject({ waits: true, job: { phase: 'verifying', notBefore: later(settleMs) } });
    expect(settling(job, later(settleMs))).toMatchObject({ waits: false, job: { phase: 'verifying', pass: { since: later(settleMs) } } });
  }
});

test('a walk that began before nobody could be using the old KEK, or whose begin is not known, is walked again', () => {
  const early = pageDone(waiting(), page({ read: 3, next: 'k_3' }), now);
  expect(pageDone(early, page({ read: 3 }), later(settleMs))).toMatchObject({ phase: 'verifying', state: 'running', pass: { read: 0 } });
  expect(settling(early, later(settleMs)).job.pass).toMatchObject({ read: 0, since: later(settleMs) });
  const half = pageDone(verifying(), page({ read: 3, next: 'k_3' }), later(settleMs));
  expect(settling(half, later(settleMs + 1))).toEqual({ job: half, waits: false });
});

test('only a pass that found nothing and could read everything ends the old KEK', () => {
  expect(pageDone(verifying(), page({ read: 5 }), now)).toMatchObject({ phase: 'destroying', state: 'running' });
  expect(pageDone(verifying(), page({ found: 1, done: 1 }), now)).toMatchObject({
    phase: 'verifying',
    state: 'running',
    pass: { found: 0 },
  });
  expect(pageDone(verifying(), page({ unread: 1 }), now)).toMatchObject({ phase: 'verifying', state: 'failed' });
  expect(pageDone(verifying(), page({ found: 1, failures: [failure] }), now)).toMatchObject({
    ...{ state: 'failed', trouble: { code: 'ERR_KEY_UNREADABLE' } },
  });
});

test('whatever pages come, a job goes on to destroying only by a whole pass of the last phase without any finding', () => {
  const outcome = fc.record({
    found: fc.integer({ min: 0, max: 2 }),
    broken: fc.boolean(),
    unread: fc.integer({ min: 0, max: 1 }),
    last: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(outcome, { maxLength: 40 }), (pages) => {
      let current = ready(['a', 'b']);
      let clean = true;
      let begunInVerifying = false;
      for (const { found, broken, unread, last } of pages) {
        if (current.state !== 'running' || current.phase === 'destroying') break;
        if (current.phase === 'verifying') current = settling(current, later(settleMs)).job;
        if (current.phase === 'verifying' && current.pass.read === 0) [begunInVerifying, clean] = [true, true];
        const failures = broken && found > 0 ? [failure] : [];
        clean &&= found === 0 && unread === 0;
        const next = last ? undefined : 'k';
        current = pageDone(current, page({ read: 1, found, done: found - failures.length, failures, unread, next }), now);
      }
      if (current.phase === 'destroying') expect([begunInVerifying, clean]).toEqual([true, true]);
    }),
  );
});

test('all old KEKs are looked for in the index, one after another, and again while somebody else was first', () => {
  const second = pageDone(ready(['a', 'b']), page({ found: 1, conflicts: 1, read: 1 }), now);
  expect(second).toMatchObject({ phase: 'rewrapping', pass: { index: 1, conflicts: 1 } });
  expect(pageDone(second, page(), now)).toMatchObject({ phase: 'rewrapping', pass: { index: 0, conflicts: 0 } });
});

test('trouble is tried again, told while it lasts, and forgotten with the next page', () => {
  const stuck = troubled(ready(), { code: 'ERR_HSM_UNAVAILABLE', detail: 'd' }, now);
  expect(stuck).toMatchObject({ state: 'running', trouble: { code: 'ERR_HSM_UNAVAILABLE', at: now }, notBefore: later(5_000) });
  expect(pageDone(stuck, page({ next: 'k' }), now)).not.toHaveProperty('trouble');
});

test('paused and resumed it is where it was; failed and resumed it looks at everything anew; done it stays', () => {
  const half = pageDone(ready(), page({ found: 3, done: 3, read: 3, next: 'k_3' }), now);
  expect(pauseJob(pauseJob(half))).toMatchObject({ state: 'paused', pass: { after: 'k_3' }, revision: half.revision + 1 });
  expect(resumeJob(pauseJob(half))).toMatchObject({ state: 'running', pass: { after: 'k_3' } });
  const failed = pageDone(verifying(), page({ unread: 1 }), now);
  const again = resumeJob(failed);
  expect(again).toMatchObject({ state: 'running', phase: 'verifying', pass: { unread: 0 } });
  expect(again).not.toHaveProperty('trouble');
  expect(() => pauseJob(failed)).toThrow('ERR_KEY_STATE');
  expect(() => resumeJob({ ...half, state: 'done' })).toThrow('ERR_KEY_STATE');
});
