import type { JobDescription } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { isEnded, progressBar, progressLine, shareDone } from '../src/job-progress';

const job: JobDescription = {
  ...{ jobId: 'job_kek_production_internal_2', kind: 'rotate-kek', to: 'kek_production_internal_2', from: ['kek_production_internal_1'] },
  ...{ state: 'running', phase: 'rewrapping', total: 200, done: 50, failed: 0, failures: [], read: 50, perSecond: 12.5 },
  ...{ reason: 'yearly', startedBy: 'kim', startedAt: '2026-03-01T12:00:00.000Z' },
};

test('a bar shows the share that is done, and how fast', () => {
  expect(progressBar(job)).toBe(`[${'█'.repeat(7)}${'·'.repeat(23)}] 25%  rewrapping  50/200  12.5/s`);
  expect(shareDone({ ...job, total: 0, done: 0 })).toBeUndefined();
  expect(shareDone({ ...job, state: 'done', total: 0, done: 0 })).toBe(1);
  expect(shareDone({ ...job, done: 201 })).toBe(1);
});

test('a line says what it waits for, what failed, and what is the trouble', () => {
  expect(progressLine({ ...job, phase: 'verifying', waitsUntil: '2026-03-01T12:02:00.000Z' })).toContain('waits until 2026-03-01T12:02');
  expect(progressLine({ ...job, phase: 'verifying', read: 7 })).toContain('7 documents read');
  const trouble = { code: 'ERR_HSM_UNAVAILABLE', detail: 'away', at: '2026-03-01T12:02:00.000Z' } as const;
  expect(progressLine({ ...job, failed: 2, trouble })).toMatch(/2 failed {2}ERR_HSM_UNAVAILABLE: away$/);
  expect([isEnded(job), isEnded({ state: 'failed' }), isEnded({ state: 'paused' })]).toEqual([false, true, true]);
});
