import { claviger } from '@claviger/authz';
import { ProblemError } from '@claviger/contracts';
import { RecordedProblem, type RequestContext } from '@claviger/messaging';
import { until } from '@claviger/testing';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type Asker, type Done, SystemReplies } from '../src/index';
import { operation, type RecordingService, startRecordingService } from './recording-service';

let s: RecordingService;
const allow = { kind: 'allow', code: 'permitted', policyIds: ['p1'], reason: 'test' } as const;

beforeAll(async () => {
  s = await startRecordingService();
});
afterEach(() => {
  s.said.decision = allow;
});
afterAll(() => s?.stop());

const done: Done = { result: { secret: 'result' }, record: { reason: 'because' } };
const permitted = ({ admit }: Asker): Done => {
  admit('policy:Read', claviger);
  return done;
};
const recordsOf = async ({ session }: { session: string }) =>
  (await s.lines()).filter((line) => line.kind === 'operation' && line.session === session);
/** The problem that the caller hears, which has a record of its own. */
async function problem(answer: Promise<unknown>): Promise<RecordedProblem> {
  const error = await answer.then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(RecordedProblem);
  return error as RecordedProblem;
}

describe('exactly one record for each reply', () => {
  test('a success: the receipt names the line that says who, what, by which policies and on which revisions', async () => {
    const caller = await s.caller();
    const { result, receipt } = await s.replies.answer(operation, caller, { keyId: 'k' }, permitted);
    expect(result).toEqual(done.result);
    const [record, ...more] = await recordsOf(caller);
    expect(more).toEqual([]);
    expect(record).toMatchObject({ action: 'policy:Read', principal: 'sofia', outcome: 'success', ip: 'commitment-to-ip', mfa: true });
    expect(record).toMatchObject({ keyId: 'k', reason: 'because', policies: ['p1'], revisions: { session: 1, bundle: 3 } });
    expect(receipt).toMatchObject(record?.at as object);
    expect(JSON.stringify(record)).not.toContain('secret');
  });

  test('a refusal by policy, which happens before the work', async () => {
    s.said.decision = { kind: 'deny', code: 'forbidden', policyIds: ['barred'], reason: 'test' } as never;
    const caller = await s.caller();
    let worked = false;
    const work = () => {
      worked = true;
      return { bundle: {}, hash: '' } as never;
    };
    const refused = await problem(new SystemReplies(s.replies).answer(operation, caller, work));
    expect(worked).toBe(false);
    expect(refused.problem.code).toBe('ERR_ACCESS_DENIED');
    const [record, ...more] = await recordsOf(caller);
    expect(more).toEqual([]);
    expect(record).toMatchObject({ outcome: 'denied', code: 'ERR_ACCESS_DENIED', policies: ['barred'], revisions: { bundle: 3 } });
    expect(refused.receipt).toMatchObject(record?.at as object);
  });

  test('a failure: what was decided is in the record, the cause in neither record nor reply', async () => {
    const caller = await s.caller();
    const failed = await problem(
      s.replies.answer(operation, caller, {}, async (asker) => {
        permitted(asker);
        throw new Error('the password is hunter2');
      }),
    );
    expect(failed.problem.code).toBe('ERR_INTERNAL');
    expect(failed.message).not.toContain('hunter2');
    const records = await recordsOf(caller);
    expect(records).toMatchObject([{ outcome: 'failed', code: 'ERR_INTERNAL', policies: ['p1'] }]);
    expect(JSON.stringify(records)).not.toContain('hunter2');
  });

  test('a problem that the work names itself', async () => {
    const caller = await s.caller();
    const work = (asker: Asker): Done => {
      permitted(asker);
      throw new ProblemError('ERR_CONFLICT', 'somebody was faster');
    };
    expect((await problem(s.replies.answer(operation, caller, {}, work))).problem.code).toBe('ERR_CONFLICT');
    expect(await recordsOf(caller)).toMatchObject([{ outcome: 'failed', code: 'ERR_CONFLICT' }]);
  });

  test('work that asked nobody: its result goes to nobody', async () => {
    const caller = await s.caller();
    expect((await problem(s.replies.answer(operation, caller, {}, () => done))).problem.code).toBe('ERR_INTERNAL');
    expect(await recordsOf(caller)).toMatchObject([{ outcome: 'failed', code: 'ERR_INTERNAL' }]);
  });

  test('many at once, of every kind', async () => {
    const callers = await Promise.all([s.caller(), s.caller({ state: 'revoked' }), s.caller()]);
    const works = [permitted, permitted, () => Promise.reject(new Error('x'))];
    const asked = Array.from({ length: 150 }, (_, n) => ({ ...callers[n % 3], requestId: `many-${n}` }) as RequestContext);
    const outcomes = await Promise.allSettled(asked.map((request, n) => s.replies.answer(operation, request, {}, works[n % 3]!)));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(50);
    const ids = (await s.lines()).map(({ requestId }) => requestId).filter((id) => String(id).startsWith('many-'));
    expect(ids).toHaveLength(asked.length);
    expect(new Set(ids).size).toBe(asked.length);
  });
});

describe('the session is looked at', () => {
  test.each([
    ['revoked', { state: 'revoked' as const }, 'ERR_SESSION_REVOKED'],
    ['over', { expiresAt: new Date(Date.now() - 1_000).toISOString() }, 'ERR_SESSION_EXPIRED'],
    ["somebody else's", { principal: 'eve' }, 'ERR_SESSION_UNKNOWN'],
  ])('before anything: one that is %s is refused, and that is recorded', async (_what, more, code) => {
    const caller = await s.caller(more);
    let worked = false;
    const answer = s.replies.answer(operation, caller, {}, (asker) => {
      worked = true;
      return permitted(asker);
    });
    expect((await problem(answer)).problem.code).toBe(code);
    expect(worked).toBe(false);
    expect(await recordsOf(caller)).toMatchObject([{ outcome: 'denied', code }]);
  });

  test('again when policy is asked: one that was revoked while the work waited gets nothing', async () => {
    const asks: ((asker: Asker) => unknown)[] = [
      ({ admit }) => admit('policy:Read', claviger),
      ({ allows }) => allows('policy:Read', claviger),
    ];
    for (const ask of asks) {
      const caller = await s.caller();
      let acted = false;
      const answer = s.replies.answer(operation, caller, {}, async (asker) => {
        await s.revoke(caller.record);
        ask(asker);
        acted = true;
        return done;
      });
      expect((await problem(answer)).problem.code).toBe('ERR_SESSION_REVOKED');
      expect(acted).toBe(false);
      expect(await recordsOf(caller)).toMatchObject([{ outcome: 'denied', code: 'ERR_SESSION_REVOKED', revisions: { session: 2 } }]);
    }
  });

  test('and when what the work needs had to be waited for', async () => {
    const caller = await s.caller();
    const answer = s.replies.answer(operation, caller, {}, permitted, () => s.revoke(caller.record));
    expect((await problem(answer)).problem.code).toBe('ERR_SESSION_REVOKED');
    expect(await recordsOf(caller)).toMatchObject([{ code: 'ERR_SESSION_REVOKED' }]);
  });
});

test('no record, no answer: neither a result nor a refusal, and once that is known nothing is begun', async () => {
  const caller = await s.caller();
  let worked = 0;
  const counted = (asker: Asker) => {
    worked++;
    return permitted(asker);
  };
  await s.blockAudit(true);
  await expect(s.replies.answer(operation, { ...caller, requestId: 'stuck' }, {}, counted)).rejects.toMatchObject({
    code: 'ERR_AUDIT_UNAVAILABLE',
  });
  expect(worked).toBe(1);
  await expect(s.replies.answer(operation, caller, {}, counted)).rejects.toMatchObject({ code: 'ERR_AUDIT_UNAVAILABLE' });
  await expect(s.replies.answer(operation, caller, {}, () => Promise.reject(new Error('x')))).rejects.toMatchObject({
    code: 'ERR_AUDIT_UNAVAILABLE',
  });
  expect(worked).toBe(1);
  expect(await recordsOf(caller)).toEqual([]);

  await s.blockAudit(false);
  await until(() => s.trail.commit.available, { what: 'the record that was stuck to become durable', timeoutMs: 30_000 });
  expect((await s.replies.answer(operation, caller, {}, counted)).result).toEqual(done.result);
  const lines = await s.lines();
  const stuck = lines.find(({ requestId }) => requestId === 'stuck');
  // What was done without an answer is in the ledger, and so is that nobody was answered.
  expect(stuck).toMatchObject({ outcome: 'success' });
  expect(lines.filter(({ kind }) => kind === 'unanswered').flatMap(({ records }) => records)).toContain(stuck?.id);
});
