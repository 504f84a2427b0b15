import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type AuthorizationRequest,
  BundleValidator,
  bundleHash,
  CedarThread,
  type Elsewhere,
  Evaluator,
  validateBundle,
} from '@claviger/authz';
import { type PolicyBundle, pack, type Role } from '@claviger/contracts';
import { largeBundle, until, workspaceRoot } from '@claviger/testing';
import { afterAll, expect, test } from '@jest/globals';
import { BundleSwap } from '../src/index';

const folder = join(workspaceRoot(), 'deploy/policies/starter');
const read = (name: string) => readFileSync(join(folder, name), 'utf8');
const starter = { policies: read('policies.cedar'), schema: read('schema.cedarschema'), roles: JSON.parse(read('roles.json')) as Role[] };
const bundle = (revision: number, change: Partial<PolicyBundle> = {}): PolicyBundle => ({
  ...{ ...largeBundle(starter, { policies: 90, principals: 600, grants: 60, teams: 6 }), revision },
  ...change,
});
const extra = (policy: string) => ({ policies: `${bundle(1).policies}\n@id("extra")\n@control("x")\n${policy}` });
const stop = extra('forbid (principal, action, resource);');
const broken = extra('forbid (principal, action, resource) when { principal.shoeSize > 40 };');
const logger = { log: () => undefined, error: () => undefined, warn: () => undefined };

const use: AuthorizationRequest = {
  ...{ principalId: 'svc-1', action: 'crypto:Encrypt' },
  resource: {
    type: 'Key',
    id: 'k_AAAAAAAAAAAAAAAAAAAAAA',
    revision: 1,
    attrs: {
      ...{ environment: 'production', classification: 'internal', owner: 'person-0', consumers: ['svc-1'] },
      ...{ algorithm: 'AES_256', usage: 'encrypt-decrypt', tags: {} },
    },
  },
  context: { mfa: false, authMethod: 'token', nowMs: 1_780_000_000_000 },
};

const thread = new CedarThread();
afterAll(() => thread.stop());
const real: Elsewhere & { stop(): Promise<void> } = { call: (name, calls) => thread.call(name, calls), stop: async () => undefined };

/** The thread, held up before each call until it is let go on. */
function held() {
  let release: () => void = () => undefined;
  let gate = new Promise<void>((resolve) => (release = resolve));
  return {
    elsewhere: { ...real, call: async (...args: Parameters<Elsewhere['call']>) => gate.then(() => thread.call(...args)) },
    letGo: () => release(),
    hold: () => (gate = new Promise<void>((resolve) => (release = resolve))),
  };
}

test('beside other work a bundle comes to the same as at once: the same hash, the same decisions, the same refusals', async () => {
  const [atOnce, beside] = [new Evaluator(), new Evaluator()];
  const packed = pack(JSON.stringify(bundle(1)));
  expect(await beside.loadBeside(packed, thread)).toEqual(atOnce.load(bundle(1)));
  expect(beside.current).toEqual({
    ...atOnce.current,
    compiled: expect.anything(),
    validated: expect.anything(),
    subjectOf: expect.anything(),
    slices: expect.anything(),
  });
  expect(beside.current?.hash).toBe(bundleHash(bundle(1)));
  expect(beside.decide(use)).toEqual(atOnce.decide(use));
  expect(beside.decide(use).kind).toBe('allow');

  const wrong: unknown[] = [
    bundle(2, broken),
    bundle(2, { policies: 'permit (' }),
    bundle(2, { schema: 'namespace C {' }),
    bundle(2, { principals: [...bundle(2).principals, { ...bundle(2).principals[0]!, roles: ['wizard'] }] }),
    { ...bundle(2), principals: bundle(2).principals.map((one, index) => (index === 399 ? { ...one, shoeSize: 43 } : one)) },
    { deflated: packed.deflated, bytes: packed.bytes - 1 },
    bundle(1, stop),
    bundle(0),
    'no bundle',
    null,
  ];
  for (const one of wrong) {
    const said = atOnce.load(one);
    expect(said).toMatchObject({ ok: false });
    expect(await beside.loadBeside(one, thread)).toEqual(said);
  }
  expect(await new BundleValidator(thread).validate(wrong[3])).toEqual(validateBundle(wrong[3]));
  expect(beside.decide(use).kind).toBe('allow');
});

test('the bundle before decides until the new one is ready, which then decides at once', async () => {
  const { elsewhere, letGo, hold } = held();
  const evaluator = new Evaluator();
  const swap = new BundleSwap({ evaluator, elsewhere, logger });
  expect(swap.inForce()).toBe(false);
  letGo();
  swap.follow({ revision: 1, bundle: bundle(1) });
  expect(swap.inForce()).toBe(false);
  await swap.settled();
  expect([swap.inForce(), evaluator.decide(use).kind]).toEqual([true, 'allow']);

  hold();
  let heard = 0;
  swap.onInForce(() => {
    heard = evaluator.current?.bundle.revision ?? 0;
  });
  swap.follow({ revision: 2, bundle: bundle(2, stop) });
  expect([swap.inForce(), evaluator.decide(use).kind]).toEqual([true, 'allow']);
  // What comes while one is read is read after it.
  swap.follow({ revision: 3, bundle: bundle(3, extra('forbid (principal, action, resource) unless { context.mfa };')) });
  letGo();
  await swap.settled();
  expect([swap.inForce(), evaluator.decide(use).kind, heard]).toEqual([true, 'deny', 3]);
  expect(evaluator.decide({ ...use, context: { ...use.context, mfa: true } }).kind).toBe('allow');
});

test('what a bundle of the same schema takes away is taken away before it is validated; one that is refused then decides nothing', async () => {
  const { elsewhere, letGo, hold } = held();
  letGo();
  let nowMs = 0;
  const evaluator = new Evaluator();
  const swap = new BundleSwap({ evaluator, elsewhere, logger, now: () => nowMs });
  swap.follow({ revision: 1, bundle: bundle(1) });
  await swap.settled();
  const inForce = (revision: number) => until(() => evaluator.current?.bundle.revision === revision, { what: `bundle ${revision}` });

  hold();
  swap.follow({ revision: 2, bundle: bundle(2, stop) });
  await inForce(2);
  expect([swap.inForce(), evaluator.decide(use)]).toMatchObject([true, { kind: 'deny', policyIds: ['extra'] }]);
  // A thread that does not answer leaves nothing unvalidated in force.
  nowMs = 10_000;
  expect(swap.inForce()).toBe(false);
  letGo();
  await swap.settled();
  expect(swap.inForce()).toBe(true);

  hold();
  swap.follow({ revision: 3, bundle: bundle(3, broken) });
  await inForce(3);
  // It fails where it is asked, and nothing is allowed past it.
  expect(evaluator.decide(use)).toMatchObject({ kind: 'deny', failure: true, policyIds: ['extra'] });
  letGo();
  await swap.settled();
  expect([swap.inForce(), evaluator.current?.bundle.revision]).toEqual([false, 2]);

  // What was refused is checked again where it comes again.
  swap.follow({ revision: 4, bundle: bundle(4, broken) });
  await swap.settled();
  expect([swap.inForce(), evaluator.current?.bundle.revision]).toEqual([false, 2]);
  swap.follow({ revision: 5, bundle: bundle(5) });
  await swap.settled();
  expect([swap.inForce(), evaluator.decide(use).kind]).toEqual([true, 'allow']);
});

test('a bundle that decides and could not be validated, since the thread failed, is validated when it is read again', async () => {
  for (const change of [stop, broken]) {
    let failures = 0;
    const call = (...args: Parameters<Elsewhere['call']>) =>
      args[0] === 'validate' && failures-- > 0 ? Promise.reject(new Error('the thread ended')) : real.call(...args);
    const evaluator = new Evaluator();
    expect(await evaluator.loadBeside(bundle(1), { call })).toMatchObject({ ok: true });
    failures = 2;
    for (let attempt = 0; attempt < 2; attempt++) {
      expect(await evaluator.loadBeside(bundle(2, change), { call })).toMatchObject({ ok: false, code: 'unavailable' });
      expect(evaluator.decide(use).kind).toBe('deny');
    }
    expect((await evaluator.loadBeside(bundle(2, change), { call })).ok).toBe(change === stop);
  }
});

test('nobody is admitted by an older bundle when the newest is refused, or is not ready after 10 s', async () => {
  const { elsewhere, letGo, hold } = held();
  letGo();
  let nowMs = 0;
  const evaluator = new Evaluator();
  const swap = new BundleSwap({ evaluator, elsewhere, logger, now: () => nowMs });
  swap.follow({ revision: 1, bundle: bundle(1) });
  await swap.settled();
  swap.follow({ revision: 2, bundle: bundle(2, broken) });
  await swap.settled();
  expect([swap.inForce(), evaluator.current?.bundle.revision]).toEqual([false, 1]);

  // What decides is older than the one that could not be read: another one that arrives does not change that until it is in force.
  hold();
  swap.follow({ revision: 3, bundle: bundle(3, stop) });
  expect(swap.inForce()).toBe(false);
  letGo();
  await swap.settled();
  expect([swap.inForce(), evaluator.current?.bundle.revision]).toEqual([true, 3]);

  hold();
  swap.follow({ revision: 4, bundle: bundle(4, stop) });
  expect(swap.inForce()).toBe(true);
  nowMs = 5_000;
  swap.follow({ revision: 5, bundle: bundle(5, stop) });
  nowMs = 10_000;
  expect(swap.inForce()).toBe(false);
  letGo();
  await swap.settled();
  expect([swap.inForce(), evaluator.current?.bundle.revision]).toEqual([true, 5]);
});

test('a bundle that could not be read since the thread failed is read again; whoever hears of it may fail', async () => {
  let failures = 2;
  const lines: string[] = [];
  const elsewhere = {
    ...real,
    call: async (...args: Parameters<Elsewhere['call']>) =>
      failures-- > 0 ? Promise.reject(new Error('the thread ended')) : real.call(...args),
  };
  const evaluator = new Evaluator();
  const swap = new BundleSwap({ evaluator, elsewhere, logger: { ...logger, error: (line: string) => lines.push(line) } });
  swap.onInForce(() => {
    throw new Error('deaf');
  });
  swap.follow({ revision: 1, bundle: bundle(1) });
  await swap.settled();
  expect([swap.inForce(), evaluator.current?.bundle.revision]).toEqual([true, 1]);
  expect(lines).toEqual([expect.stringContaining('deaf')]);

  swap.follow({ revision: 3, bundle: bundle(3, { principals: bundle(3).principals.map((one) => ({ ...one, roles: ['wizard'] })) }) });
  await swap.settled();
  expect(swap.inForce()).toBe(false);
  const refusal = lines.at(-1)!;
  expect(refusal).toMatch(/60\d issue/);
  expect(refusal.length).toBeLessThan(4_200);
});

const only = { policies: '@id("only")\n@control("x")\nforbid (principal, action, resource);' };
test('a bundle that arrives in any turn around the end of the swap before is read', async () => {
  for (let turns = 0; turns < 6; turns++) {
    const ends: (() => void)[] = [];
    const evaluator = new Evaluator();
    const swap = new BundleSwap({ evaluator, elsewhere: real, logger });
    swap.onInForce(() => {
      for (const end of ends.splice(0)) end();
    });
    const small = (revision: number) => ({ revision, bundle: { ...bundle(revision, only), principals: [], grants: [], groups: [] } });
    const ended = new Promise<void>((resolve) => ends.push(resolve));
    swap.follow(small(1));
    await ended;
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    swap.follow(small(2));
    await until(() => evaluator.current?.bundle.revision === 2, { what: `the second bundle, ${turns} turns later` });
  }
});

test('bundles are checked beside each other, each by its own schema', async () => {
  const good = { ...bundle(1, only), principals: [], grants: [], groups: [] };
  const without = { ...good, schema: good.schema.replace(/crypto:Encrypt/g, 'crypto:Encrypted') };
  const checks = await Promise.all([good, without, good, without].map((one) => new BundleValidator(thread).validate(one)));
  expect(checks.map((issues) => issues.length > 0)).toEqual([false, true, false, true]);
});

test('a thread that ended is started again with the next bundle', async () => {
  const own = new CedarThread();
  const evaluator = new Evaluator();
  const first = evaluator.loadBeside(bundle(1), own);
  await until(() => own.busy, { what: 'the thread to be asked' });
  await own.stop();
  expect(await first).toMatchObject({ ok: false, code: 'unavailable' });
  expect(await evaluator.loadBeside(bundle(1), own)).toMatchObject({ ok: true });
  await own.stop();
});
