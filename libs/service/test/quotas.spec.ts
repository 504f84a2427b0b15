import { readFileSync } from 'node:fs';
import { claviger, Evaluator, type KeyResource, QuotaPending } from '@claviger/authz';
import {
  bundleFormat,
  type Grant,
  grantCounter,
  grantUses,
  type PolicyBundle,
  ProblemError,
  type Quota,
  quotaCounter,
  quotaWindows,
} from '@claviger/contracts';
import { Counters, RecordedProblem, type RequestContext } from '@claviger/messaging';
import { until } from '@claviger/testing';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import { type Asker, type Count, CountedUses, Quotas, QuotaTales, type RecordedReply } from '../src/index';
import { operation, type RecordingService, startRecordingService } from './recording-service';

let s: RecordingService;
beforeAll(async () => {
  s = await startRecordingService();
});
afterAll(() => s?.stop());

const hour = quotaWindows.hour.ms;
let ids = 0;
const quota = (more: Partial<Quota> = {}): Quota => ({
  id: `q${ids++}`,
  actions: ['policy'],
  per: 'principal',
  limit: 10,
  window: 'hour',
  ...more,
});
const key = (id: string): KeyResource => ({
  ...{ type: 'Key', id, revision: 1 },
  attrs: { environment: 'production', classification: 'internal', owner: 'o', consumers: [], algorithm: 'AES_256', usage: 'encrypt' },
});

/** A process of a service: counters over its own connection and with its own permissions. */
async function startProcess(quotas: readonly Quota[], { nowMs = () => 1_000 * hour, user = 'crypto-worker' as const } = {}) {
  const connection: NatsConnection = await s.broker.connection(user);
  const counters = new Counters(connection);
  const said = { bundle: { quotas: [...quotas] } as never, monotonic: 0 };
  const tales = new QuotaTales({ counters, trail: s.trail, holder: 'h', logger: { log() {}, error() {}, warn() {} } });
  const uses = new CountedUses({
    counters,
    nowMs,
    workers: () => 2,
    onPutBack: (...put) => tales.putBack(...put),
    onFailure: () => undefined,
    monotonic: () => performance.now() + said.monotonic,
  });
  const evaluator = {
    get current() {
      return { bundle: said.bundle, hash: '' };
    },
    rolesOf: () => ['auditor'],
    groupsOf: () => ['acme/payments'],
  };
  return {
    said,
    uses,
    connection,
    replies: s.repliesWith(new Quotas({ uses, evaluator, onRefused: (refused) => tales.refused(refused) })),
    publish: (...now: Quota[]) => {
      said.bundle = { quotas: now } as never;
    },
  };
}
type Process = Awaited<ReturnType<typeof startProcess>>;

const done = { result: {} };
const readPolicy = ({ admit }: Asker) => {
  admit('policy:Read', claviger);
  return done;
};
async function ask(
  replies: RecordedReply,
  caller: RequestContext,
  work: (asker: Asker) => { result: unknown } = readPolicy,
): Promise<string> {
  try {
    await replies.answer(operation, caller, {}, work);
    return 'OK';
  } catch (error) {
    if (error instanceof RecordedProblem) return error.problem.code;
    throw error;
  }
}
const tally = (codes: string[]) =>
  Object.fromEntries(Object.entries(Object.groupBy(codes, (code) => code)).map(([code, all]) => [code, all?.length]));
const askAll = async (count: number, process: (n: number) => Process, caller: RequestContext) =>
  tally(await Promise.all(Array.from({ length: count }, (_, n) => ask(process(n).replies, caller))));
const quotaRecords = async (id: string) => (await s.lines()).filter((line) => line.kind === 'quota' && line.quota === id);

describe('a quota over several processes', () => {
  test('lets exactly its limit through, tells once that it is exceeded, and says when to come again', async () => {
    const q = quota({ limit: 300 });
    const [a, b, caller] = [await startProcess([q]), await startProcess([q]), await s.caller()];
    expect(await askAll(900, (n) => (n % 2 === 0 ? a : b), caller)).toEqual({ OK: 300, ERR_QUOTA_EXCEEDED: 600 });
    const refused = await a.replies.answer(operation, caller, {}, readPolicy).catch((error) => error as RecordedProblem);
    expect((refused as RecordedProblem).problem.toProblem()).toMatchObject({
      ...{ code: 'ERR_QUOTA_EXCEEDED', status: 429, retryable: true, retryAfterMs: hour },
      detail: `The quota ${q.id} of 300 a hour is used up.`,
    });
    await until(async () => (await quotaRecords(q.id)).length > 0, { what: 'the record of the first refusal' });
    expect(await quotaRecords(q.id)).toMatchObject([{ event: 'exceeded', limit: 300, window: 'hour', principal: 'sofia', holder: 'h' }]);
    const refusals = (await s.lines()).filter(({ session, outcome }) => session === caller.session && outcome === 'denied');
    expect(refusals).toHaveLength(601);
  });

  test('loses what a process held that was killed, and nothing that one held which was stopped', async () => {
    const q = quota({ limit: 200 });
    const caller = await s.caller();
    const processes: Process[] = [];
    let let_through = 0;
    for (let round = 0; round < 4; round++) {
      const process = await startProcess([q]);
      processes.push(process);
      let_through += (await askAll(20, () => process, caller)).OK ?? 0;
      if (round % 2 === 0) await process.connection.close();
      else await process.uses.stop();
    }
    expect(let_through).toBe(80);
    const last = await startProcess([q]);
    const rest = await askAll(300, () => last, caller);
    expect(let_through + (rest.OK ?? 0)).toBeLessThanOrEqual(200);
    expect(let_through + (rest.OK ?? 0)).toBeGreaterThan(120);
  });

  test('without its counter lets through what is held and no more', async () => {
    const q = quota({ limit: 100_000 });
    const [a, caller] = [await startProcess([q]), await s.caller()];
    expect(await ask(a.replies, caller)).toBe('OK');
    await a.connection.close();
    const codes = await askAll(50, () => a, caller);
    expect(Object.keys(codes).filter((code) => code !== 'OK')).toEqual(['ERR_QUOTA_UNAVAILABLE']);
    expect(codes.OK ?? 0).toBeLessThan(50);
  });

  test('whose counter was put back lets nothing more through, and says so', async () => {
    const q = quota({ limit: 1_000 });
    const [a, caller] = [await startProcess([q]), await s.caller()];
    expect(await askAll(20, () => a, caller)).toEqual({ OK: 20 });
    const back = headers();
    back.set('Nats-Incr', '-20');
    await a.connection.request(`${quotaCounter(q, { principal: 'sofia' }, 1_000)}.drawn`, '', { headers: back, timeout: 1_000 });
    const codes = await askAll(200, () => a, caller);
    expect(codes.ERR_QUOTA_UNAVAILABLE ?? 0).toBeGreaterThan(0);
    await until(async () => (await quotaRecords(q.id)).length > 0, { what: 'the record' });
    expect(await quotaRecords(q.id)).toMatchObject([{ event: 'put-back', quota: q.id, principal: 'sofia' }]);
    expect(await ask((await startProcess([quota({ id: q.id, window: 'day' })])).replies, caller)).toBe('OK');
  });
});

describe('a quota', () => {
  test('is in force at once when the bundle changes: raised, lowered and taken away', async () => {
    const q = quota({ limit: 5 });
    const [a, caller] = [await startProcess([q]), await s.caller()];
    expect(await askAll(8, () => a, caller)).toEqual({ OK: 5, ERR_QUOTA_EXCEEDED: 3 });
    a.publish({ ...q, limit: 40 });
    expect(await askAll(10, () => a, caller)).toEqual({ OK: 10 });
    a.publish({ ...q, limit: 10 });
    expect(await ask(a.replies, caller)).toBe('ERR_QUOTA_EXCEEDED');
    a.publish();
    expect(await askAll(20, () => a, caller)).toEqual({ OK: 20 });
  });

  test('begins anew with each window of the broker', async () => {
    const clock = { ms: 5_000_000 };
    const q = quota({ limit: 4, window: 'second' });
    const [a, caller] = [await startProcess([q], { nowMs: () => clock.ms }), await s.caller()];
    for (let second = 0; second < 3; second++) {
      expect(await askAll(6, () => a, caller)).toEqual({ OK: 4, ERR_QUOTA_EXCEEDED: 2 });
      clock.ms += 1_000;
    }
  });

  test('that refuses leaves the others as they were, and one request counts once against each', async () => {
    const [narrow, wide] = [quota({ actions: ['crypto:ReEncryptTo'], per: 'key', limit: 2 }), quota({ actions: ['crypto'], limit: 5 })];
    const [a, caller] = [await startProcess([narrow, wide]), await s.caller()];
    const reEncrypt = (to: string) =>
      ask(a.replies, caller, ({ admit, admitAlso }) => {
        admit('crypto:ReEncryptFrom', key('k_from'));
        admitAlso('crypto:ReEncryptTo', key(to));
        return done;
      });
    expect([await reEncrypt('k_a'), await reEncrypt('k_a'), await reEncrypt('k_a')]).toEqual(['OK', 'OK', 'ERR_QUOTA_EXCEEDED']);
    expect(tally([await reEncrypt('k_b'), await reEncrypt('k_b'), await reEncrypt('k_c'), await reEncrypt('k_d')])).toEqual({
      OK: 3,
      ERR_QUOTA_EXCEEDED: 1,
    });
  });

  test('counts no dry run', async () => {
    const [a, caller] = [await startProcess([quota({ limit: 1 })]), await s.caller()];
    const dry = ({ admit }: Asker) => {
      admit('policy:Read', claviger);
      throw new ProblemError('ERR_DRY_RUN');
    };
    expect(await ask(a.replies, caller, dry)).toBe('ERR_DRY_RUN');
    await a.uses.stop();
    a.said.monotonic += 10_000;
    expect([await ask(a.replies, caller), await ask(a.replies, caller)]).toEqual(['OK', 'ERR_QUOTA_EXCEEDED']);
  });

  test('is for those whom it names: by role, by group, by key, by environment', async () => {
    const [a, caller] = [await startProcess([]), await s.caller()];
    const use = () =>
      ask(a.replies, caller, ({ admit }) => {
        admit('crypto:Sign', key('k_x'));
        return done;
      });
    const twice = async (more: Partial<Quota>) => {
      a.publish(quota({ actions: ['crypto:Sign'], limit: 1, ...more }));
      return [await use(), await use()];
    };
    expect(await twice({ role: 'auditor' })).toEqual(['OK', 'ERR_QUOTA_EXCEEDED']);
    expect(await twice({ role: 'operator' })).toEqual(['OK', 'OK']);
    expect(await twice({ group: 'acme/payments', per: 'all' })).toEqual(['OK', 'ERR_QUOTA_EXCEEDED']);
    expect(await twice({ group: 'other/payments' })).toEqual(['OK', 'OK']);
    expect(await twice({ key: 'k_x', per: 'all' })).toEqual(['OK', 'ERR_QUOTA_EXCEEDED']);
    expect(await twice({ key: 'k_y' })).toEqual(['OK', 'OK']);
    expect(await twice({ environment: 'production' })).toEqual(['OK', 'ERR_QUOTA_EXCEEDED']);
    expect(await twice({ environment: 'staging' })).toEqual(['OK', 'OK']);
    expect(await twice({ actions: ['crypto:Verify'] })).toEqual(['OK', 'OK']);
  });
});

test('a counter that was put back is told once, and neither that nor what is known of a grant is forgotten for other counts', async () => {
  const connection = await s.broker.connection('crypto-worker');
  const told: string[] = [];
  const uses = new CountedUses({
    ...{ counters: new Counters(connection), nowMs: () => 1_000 * hour, workers: () => 2, countsMax: 1 },
    ...{ onPutBack: ({ key }) => told.push(key), onFailure: () => undefined },
  });
  const inHours = (key: string): Count => {
    const counter = (window: number) => quotaCounter({ id: key, window: 'hour' }, {}, window);
    return { ...{ key, of: { id: key }, limit: 100_000, counter }, stream: quotaWindows.hour.stream, windowMs: hour };
  };
  const ofGrant = (key: string): Count => {
    const counter = () => grantCounter(key, 'sofia');
    return { ...{ key, of: { id: key }, limit: 10, counter }, stream: grantUses.stream, windowMs: undefined };
  };
  const use = async (count: Count): Promise<string> => {
    let availability = uses.availability(count, 1_000 * hour);
    while (availability instanceof Promise) {
      await availability;
      availability = uses.availability(count, 1_000 * hour);
    }
    if (availability === 'held') uses.take(count, 1_000 * hour);
    return availability;
  };
  const putBack = async (count: Count) => {
    const back = headers();
    const drawn = `${count.counter(1_000)}.drawn`;
    // To where one that knows nothing of it would begin.
    back.set('Nats-Incr', `-${await new Counters(connection).read(count.stream, drawn)}`);
    await connection.request(drawn, '', { headers: back, timeout: 5_000 });
  };
  const [quotaUses, grantUsed] = [inHours('q-put-back'), ofGrant('g-put-back')];
  for (let n = 0; n < 200; n++) await use(quotaUses);
  await putBack(quotaUses);
  while ((await use(quotaUses)) === 'held') await connection.flush();
  expect(told).toEqual(['q-put-back']);
  expect(await use(grantUsed)).toBe('held');
  await putBack(grantUsed);
  expect([await use(ofGrant('g-other')), await use(inHours('q-other'))]).toEqual(['held', 'held']);
  expect([await use(quotaUses), await use(grantUsed)]).toEqual(['unknown', 'unknown']);
  expect(told).toEqual(['q-put-back', 'g-put-back']);
  await connection.close();
});

test('only services change a counter, and nobody puts anything else there', async () => {
  const [service, provisioner] = [await s.broker.connection('anomaly-detector'), await s.broker.connection('provisionerCore')];
  const increment = headers();
  increment.set('Nats-Incr', '+1');
  await expect(provisioner.request('quota.v1.day.x._._.1.drawn', '', { headers: increment, timeout: 500 })).rejects.toThrow();
  expect((await service.request('quota.v1.day.x._._.1.drawn', '{"val":"0"}')).json()).toMatchObject({ error: { code: 400 } });
  await expect(new Counters(service).add('quota.v1.day.x._._.1.drawn', 3)).resolves.toBe(3);
  const filters = ['quota.v1.day.x.*.*.1.drawn', 'quota.v1.day.nothing.*.*.1.drawn'];
  expect([...((await new Counters(service).readAll('QUOTA_DAY', filters)) ?? [])]).toEqual([['quota.v1.day.x._._.1.drawn', 3]]);
  expect(await new Counters(service).read('QUOTA_DAY', 'quota.v1.day.nothing')).toBe(0);
  const counters = new Counters(service);
  // Each waits for the disk: all at once would wait longer than one may.
  for (let from = 0; from < 1_025; from += 41)
    await Promise.all(Array.from({ length: 41 }, (_, n) => counters.add(`quota.v1.second.many.p${from + n}._.1.drawn`, 1)));
  expect(await counters.readAll('QUOTA_SECOND', ['quota.v1.second.many.*.*.1.drawn'])).toBe(undefined);
  await Promise.all([service.close(), provisioner.close()]);
});

describe('a grant of limited use', () => {
  const starter = (file: string) => readFileSync(new URL(`../../../deploy/policies/starter/${file}`, import.meta.url), 'utf8');
  const [granted, other] = ['k_AAAAAAAAAAAAAAAAAAAAAA', 'k_BBBBBBBBBBBBBBBBBBBBBB'];
  const bundle = (revision: number, grants: Grant[], roles: string[] = []): PolicyBundle => ({
    ...{ format: bundleFormat, revision, policies: starter('policies.cedar'), schema: starter('schema.cedarschema') },
    roles: JSON.parse(starter('roles.json')),
    principals: [{ id: 'sofia', kind: 'person', roles, disabled: false, revision: 1, identities: [{ kind: 'token' }] }],
    ...{ grants, publishedAt: '2026-01-01T00:00:00.000Z' },
  });
  const decrypt = (keyId: string, more?: (asker: Asker) => object) => (asker: Asker) => {
    asker.admit('crypto:Decrypt', key(keyId));
    return { ...done, ...more?.(asker) };
  };
  /** A process whose policy is what the bundle says. */
  async function start(evaluator: Evaluator, changes?: Parameters<RecordingService['repliesWith']>[2]) {
    const connection = await s.broker.connection('crypto-worker');
    const uses = new CountedUses({
      ...{ counters: new Counters(connection), nowMs: () => Date.now(), workers: () => 2 },
      ...{ onPutBack: () => undefined, onFailure: () => undefined },
    });
    return { connection, uses, replies: s.repliesWith(new Quotas({ uses, evaluator, onRefused: () => undefined }), evaluator, changes) };
  }

  test('allows exactly so many operations over all processes, also those that were started anew, and only what nothing else allows', async () => {
    const evaluator = new Evaluator();
    const grant: Grant = { id: 'once-or-thrice', principal: 'sofia', action: 'crypto:Decrypt', key: granted, uses: 3, revision: 1 };
    expect(evaluator.load(bundle(1, [grant]))).toMatchObject({ ok: true });
    const [a, b, caller] = [await start(evaluator), await start(evaluator), await s.caller()];
    // A list does not show what only such a grant would allow.
    const listed = await a.replies.answer(operation, caller, {}, ({ admitAnyone, allows }) => {
      admitAnyone();
      return { result: allows('crypto:Decrypt', key(granted)) };
    });
    expect(listed.result).toBe(false);
    expect(await ask(a.replies, caller, decrypt(other))).toBe('ERR_ACCESS_DENIED');
    const dry = () => {
      throw new ProblemError('ERR_DRY_RUN');
    };
    expect(await ask(a.replies, caller, decrypt(granted, dry))).toBe('ERR_DRY_RUN');
    // Asked again when the work is done it is the same use, and still allowed by the grant.
    const confirmed = decrypt(granted, ({ admit }) => ({ confirm: () => admit('crypto:Decrypt', key(granted)) }));
    expect(await ask(a.replies, caller, confirmed)).toBe('OK');
    await a.uses.stop();
    const codes = await Promise.all(Array.from({ length: 20 }, () => ask(b.replies, caller, decrypt(granted))));
    expect(tally(codes)).toEqual({ OK: 2, ERR_ACCESS_DENIED: 18 });
    const fresh = await start(evaluator);
    const refused = await fresh.replies.answer(operation, caller, {}, decrypt(granted)).catch((error) => error as RecordedProblem);
    expect((refused as RecordedProblem).problem.detail).toContain('The grant once-or-thrice, which would allow it, is used up.');
    const records = (await s.lines()).filter(({ session, outcome }) => session === caller.session && outcome === 'success');
    expect(records.map(({ grants }) => grants)).toEqual([undefined, ['once-or-thrice'], ['once-or-thrice'], ['once-or-thrice']]);

    // More uses of the same grant are more of the same count.
    evaluator.load(bundle(2, [{ ...grant, uses: 4 }]));
    const last = await start(evaluator);
    expect([await ask(last.replies, caller, decrypt(granted)), await ask(last.replies, caller, decrypt(granted))]).toEqual([
      'OK',
      'ERR_ACCESS_DENIED',
    ]);
    await Promise.all([a, b, fresh, last].map(({ connection }) => connection.close()));
  });

  test('that policy asks for approval beside is used when what others approved is done: not when it is asked for, nor when it is not done', async () => {
    const evaluator = new Evaluator();
    const permit = (id: string, role: string) =>
      `@id("${id}") @control("test") @quorum("2") @approvers("security-officer") permit (principal in Claviger::Role::"${role}", action == Claviger::Action::"policy:Read", resource);`;
    const grants: Grant[] = ['once-approved', 'once-more'].map((id) => ({
      id,
      principal: 'sofia',
      role: 'operator',
      uses: 1,
      revision: 1,
    }));
    expect(evaluator.load({ ...bundle(1, grants), policies: permit('guarded', 'operator') })).toMatchObject({ ok: true });
    const approved = { quorum: 2 };
    const ended: string[] = [];
    const a = await start(evaluator, {
      demand: async () => undefined,
      open: async () => ({
        change: 'ch_AAAAAAAAAAAAAAAAAAAAAA',
        count: ({ quorum }) => ({ satisfied: quorum <= approved.quorum, approvers: ['simon', 'sven'], why: 'too few' }) as never,
        begin: async () => undefined,
        end: async (state) => void ended.push(state),
      }),
    });
    const caller = await s.caller();
    const change = { ...caller, change: 'ch_AAAAAAAAAAAAAAAAAAAAAA' };
    for (let asked = 0; asked < 3; asked++) expect(await ask(a.replies, caller)).toBe('ERR_APPROVAL_REQUIRED');
    approved.quorum = 1;
    expect(await ask(a.replies, change)).toBe('ERR_APPROVAL_REQUIRED');
    approved.quorum = 2;
    const dry = (asker: Asker) => {
      asker.admit('policy:Read', claviger);
      throw new ProblemError('ERR_DRY_RUN');
    };
    expect(await ask(a.replies, change, dry)).toBe('ERR_DRY_RUN');
    const confirmed = ({ admit }: Asker) => {
      admit('policy:Read', claviger);
      return { ...done, confirm: () => void admit('policy:Read', claviger) };
    };
    const codes = [await ask(a.replies, change, confirmed), await ask(a.replies, change), await ask(a.replies, change)];
    expect(codes).toEqual(['OK', 'OK', 'ERR_ACCESS_DENIED']);
    expect(ended).toEqual(['open', 'open', 'executed', 'executed', 'open']);
    const records = (await s.lines()).filter(({ session, outcome }) => session === caller.session && outcome === 'success');
    expect(records).toMatchObject([
      { grants: ['once-approved'], approvedBy: ['simon', 'sven'] },
      { grants: ['once-more'], approvedBy: ['simon', 'sven'] },
    ]);
    await a.connection.close();
  });

  test('of a role falls under the quotas of that role', async () => {
    const evaluator = new Evaluator();
    const grant: Grant = { id: 'auditor-in-a-quota', principal: 'sofia', role: 'auditor', uses: 5, revision: 1 };
    expect(evaluator.load({ ...bundle(1, [grant]), quotas: [quota({ role: 'auditor', limit: 1 })] })).toMatchObject({ ok: true });
    const [a, caller] = [await start(evaluator), await s.caller()];
    expect([await ask(a.replies, caller), await ask(a.replies, caller)]).toEqual(['OK', 'ERR_QUOTA_EXCEEDED']);
    await a.connection.close();
  });

  test('is not used by a request that did nothing: whose quota is not known, or that found what it needs away before it began', async () => {
    const evaluator = new Evaluator();
    const grant: Grant = { id: 'once-and-for-all', principal: 'sofia', action: 'crypto:Decrypt', key: granted, uses: 1, revision: 1 };
    expect(evaluator.load(bundle(1, [grant]))).toMatchObject({ ok: true });
    const [a, caller] = [await start(evaluator), await s.caller()];
    const away = ({ admit, preparing }: Asker) =>
      preparing(() => {
        admit('crypto:Decrypt', key(granted));
        throw new ProblemError('ERR_KEY_UNKNOWN');
      });
    expect(await ask(a.replies, caller, away)).toBe('ERR_KEY_UNKNOWN');
    const pending = decrypt(granted, () => {
      throw new QuotaPending(new Promise((resolve) => setTimeout(resolve, 2_600)));
    });
    expect(await ask(a.replies, caller, pending)).toBe('ERR_QUOTA_UNAVAILABLE');
    const begun = ({ admit, preparing }: Asker) => {
      preparing(() => admit('crypto:Decrypt', key(granted)));
      throw new ProblemError('ERR_HSM_UNAVAILABLE');
    };
    expect(await ask(a.replies, caller, begun)).toBe('ERR_HSM_UNAVAILABLE');
    expect(await ask(a.replies, caller, decrypt(granted))).toBe('ERR_ACCESS_DENIED');
    await a.connection.close();
  });

  test('that another bundle took away while the work was done is not honoured for its answer, and one that it kept is counted once', async () => {
    const evaluator = new Evaluator();
    const grant: Grant = { id: 'taken-away', principal: 'sofia', action: 'crypto:Decrypt', key: granted, uses: 2, revision: 1 };
    expect(evaluator.load(bundle(1, [grant]))).toMatchObject({ ok: true });
    const [a, caller] = [await start(evaluator), await s.caller()];
    const during = (revision: number, grants: Grant[]) =>
      decrypt(granted, ({ admit }) => {
        expect(evaluator.load(bundle(revision, grants))).toMatchObject({ ok: true });
        admit('crypto:Decrypt', key(granted));
        return { confirm: () => admit('crypto:Decrypt', key(granted)) };
      });
    expect(await ask(a.replies, caller, during(2, [{ ...grant, revision: 2 }]))).toBe('OK');
    const meanwhile = decrypt(granted, ({ admit }) => ({
      confirm: () => {
        expect(evaluator.load(bundle(3, []))).toMatchObject({ ok: true });
        admit('crypto:Decrypt', key(granted));
      },
    }));
    expect(await ask(a.replies, caller, meanwhile)).toBe('ERR_ACCESS_DENIED');
    expect(await ask(a.replies, caller, decrypt(granted))).toBe('ERR_ACCESS_DENIED');
    await a.connection.close();
  });

  test('of a role counts what the role allows; without its counter nothing is allowed by it', async () => {
    const evaluator = new Evaluator();
    const grant: Grant = { id: 'auditor-for-two', principal: 'sofia', role: 'auditor', uses: 2, revision: 1 };
    expect(evaluator.load(bundle(1, [grant]))).toMatchObject({ ok: true });
    const [a, caller] = [await start(evaluator), await s.caller()];
    expect(evaluator.rolesOf('sofia', Date.now())).toEqual([]);
    expect([await ask(a.replies, caller), await ask(a.replies, caller), await ask(a.replies, caller)]).toEqual([
      'OK',
      'OK',
      'ERR_ACCESS_DENIED',
    ]);
    evaluator.load(bundle(2, [{ ...grant, id: 'another' }]));
    await a.connection.close();
    expect(await ask(a.replies, caller)).toBe('ERR_QUOTA_UNAVAILABLE');
    evaluator.load(bundle(3, [], ['auditor']));
    expect(await ask(a.replies, caller)).toBe('OK');
  });
});
