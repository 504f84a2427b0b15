import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundleFormat, type PolicyBundle } from '@claviger/contracts';
import { workspaceRoot } from '@claviger/testing';
import { expect, test } from '@jest/globals';
import { addTally, emptyTally } from '../src/simulation/changed-decisions';
import { leavesFile, ledgerIn } from '../src/simulation/ledger-source';
import { replay } from '../src/simulation/replay';
import { keepReplay, recallReplay } from '../src/simulation/replay-state';
import { simulationShard } from '../src/simulation/shard';

const starter = (name: string) => readFileSync(join(workspaceRoot(), 'deploy/policies/starter', name), 'utf8');
const person = (id: string, kind: 'person' | 'service', roles: string[]) => ({
  id,
  kind,
  roles,
  disabled: false,
  revision: 1,
  identities: [],
});
/** Few of the starter set: each candidate is compiled anew. */
const few = `
@id("separation-of-duties") @control("c") forbid (principal in Claviger::Role::"key-administrator", action in Claviger::Action::"crypto", resource);
@id("application-uses-its-keys") @control("c")
permit (principal in Claviger::Role::"application", action in Claviger::Action::"crypto", resource is Claviger::Key)
when { resource.consumers.contains(principal.id) };
@id("security-officer-hands-over") @control("c")
permit (principal in Claviger::Role::"security-officer", action == Claviger::Action::"keys:SetOwner", resource)
when { context has newOwner && context.newOwner.kind == "person" };
`;
const candidate = (more = ''): PolicyBundle => ({
  ...{ format: bundleFormat, revision: 1, policies: few + more, schema: starter('schema.cedarschema') },
  ...{ roles: JSON.parse(starter('roles.json')), grants: [], publishedAt: '2026-01-01T00:00:00.000Z' },
  principals: [
    person('billing', 'service', ['application']),
    person('kim', 'person', ['key-administrator']),
    person('sam', 'person', ['security-officer']),
  ],
});
const policy = (text: string) => `\n@id("more") @control("c") ${text};`;
const keyId = 'k_AAAAAAAAAAAAAAAAAAAAAA';
const attrs = {
  ...{ environment: 'production', classification: 'internal', owner: 'owen', consumers: ['billing'], createdBy: 'kim' },
  ...{ algorithm: 'AES_256', usage: 'encrypt', tags: {} },
};
const keys = new Map([[keyId, { revision: 2, attrs }]]);
const time = (second: number) => new Date(Date.parse('2026-06-01T12:00:00.000Z') + second * 1_000).toISOString();
const record = (more: object) =>
  JSON.stringify({
    ...{ kind: 'operation', id: 'r', time: time(100), service: 's', action: 'crypto:Decrypt', principal: 'billing', session: 's1' },
    ...{ mfa: false, keyId, policies: ['application-uses-its-keys'], revisions: { key: 2 }, outcome: 'success' },
    ...more,
  });
const opened = JSON.stringify({
  kind: 'session',
  id: 'o',
  time: time(0),
  service: 'policy',
  event: 'opened',
  session: 's1',
  principal: 'billing',
  method: 'oidc',
});
const found = (lines: string[], more = '', firstIndex = 0) => {
  const shard = simulationShard({ candidate: candidate(more), keys, firstIndex, firstMs: 0 });
  lines.forEach((line, index) => {
    shard.take(line, index);
  });
  return shard.drain();
};
const undecidable = (line: string, more = '', before: string[] = []) =>
  [...found([...before, line], more).undecidable.values()].map(({ why }) => why);

test('decisions that would change are told once for each kind, with how often, where and by what', () => {
  const noDecryption = policy('forbid (principal, action == Claviger::Action::"crypto:Decrypt", resource) unless { context.mfa }');
  const tally = found([record({}), record({ mfa: true }), record({ revisions: { key: 1 } })], noDecryption);
  expect(tally).toMatchObject({ decisions: 3, unchanged: 1, keyChanged: 1 });
  expect([...tally.changed.values()]).toEqual([
    expect.objectContaining({
      principal: 'billing',
      was: 'allow',
      wasBy: ['application-uses-its-keys'],
      is: 'deny',
      isBy: ['more'],
      count: 2,
      first: 0,
      last: 2,
      keyChanged: 1,
    }),
  ]);
});

test('a refusal of policy that would be none any more is told; what the session or a failure before policy refused is no decision', () => {
  const denied = { outcome: 'denied', code: 'ERR_ACCESS_DENIED', policies: [], principal: 'kim' };
  const mayNow = policy('permit (principal == Claviger::Principal::"kim", action == Claviger::Action::"keys:Export", resource)');
  const more = found([record({ ...denied, action: 'keys:Export', mfa: true })], mayNow);
  expect([...more.changed.values()]).toMatchObject([{ was: 'deny', is: 'allow', isBy: ['more'] }]);
  const others = found([
    record({ outcome: 'denied', code: 'ERR_SESSION_EXPIRED', policies: undefined }),
    record({ outcome: 'failed', code: 'ERR_KEY_STATE' }),
    record({ policies: [], action: 'access:IssueToken' }),
    record({ action: 'hsm:SendKey' }),
  ]);
  expect([others.passed, others.decisions, others.changed.size]).toEqual([
    { 'not reached by policy': 1, 'not decided by policy': 1, 'not a use that policy knows': 1 },
    1,
    0,
  ]);
});

test('what approvals let in needed them: that it would need none is a change, and that it needs them still is none', () => {
  const approved = record({ change: 'c', approvedBy: ['sam'] });
  expect([...found([approved]).changed.values()]).toMatchObject([{ was: 'needs-approval', is: 'allow' }]);
  const asks = `\n@id("more") @control("c") @quorum("1") @approvers("security-officer")
permit (principal, action == Claviger::Action::"crypto:Decrypt", resource);`;
  expect(found([approved], asks)).toMatchObject({ unchanged: 1 });
  expect([...found([record({ change: 'c' })]).changed.values()]).toEqual([]);
});

test('what policies read and the record does not hold is undecidable, never guessed', () => {
  const forbid = (condition: string) =>
    policy(`forbid (principal, action == Claviger::Action::"crypto:Decrypt", resource) when { ${condition} }`);
  const ip = forbid('context has ip && context.ip.isLoopback()');
  expect(undecidable(record({ ip: 'commitment' }), ip)).toEqual(['its address is not in the ledger, or was erased']);
  expect(undecidable(record({}), ip)).toHaveLength(1);
  const method = forbid('context.authMethod == "token"');
  expect(undecidable(record({}), method)).toEqual(['its session is not in the ledger']);
  expect(undecidable(record({}), method, [opened])).toEqual([]);
  expect(undecidable(record({ mfa: undefined }), forbid('context.mfa'))).toHaveLength(1);
  expect(undecidable(record({}), forbid('context has acr && context.acr == "gold"'))).toHaveLength(1);
  expect(undecidable(record({ grants: ['g'] }))).toEqual(['it took a use of a grant, which is not counted again']);
  expect(undecidable(record({ mfa: undefined }))).toEqual([]);
  expect(undecidable(record({ keyId: 'k_gone' }))).toEqual(['the key is not known']);
  expect(undecidable(record({ keyId: undefined, code: 'ERR_ACCESS_DENIED', outcome: 'denied' }))).toEqual(['no key is named']);
  expect(undecidable(record({ action: 'keys:SetOwner', principal: 'sam' }))).toEqual(['the record does not say who the new owner was']);
});

test('re-encryption is asked about both keys, and only records of the period count', () => {
  const record2 = record({ action: 'crypto:ReEncryptFrom', toKeyId: keyId, toContext: { tenant: 'evil' } });
  const forbidTo = policy(
    'forbid (principal, action == Claviger::Action::"crypto:ReEncryptTo", resource) when { context.encryptionContext.hasTag("tenant") && context.encryptionContext.getTag("tenant") == "evil" }',
  );
  expect([...found([record2], forbidTo).changed.values()]).toMatchObject([{ was: 'allow', is: 'deny', isBy: ['more'] }]);
  expect(found([record2, record2], forbidTo, 1)).toMatchObject({ decisions: 1 });
});

test('an export is replayed by shards as by one, and an interrupted replay goes on to the same result', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'claviger-simulation-'));
  try {
    const lines = Array.from({ length: 50 }, (_, n) =>
      record({
        principal: n % 3 === 0 ? 'billing' : 'kim',
        outcome: n % 2 ? 'success' : 'denied',
        code: n % 2 ? undefined : 'ERR_ACCESS_DENIED',
      }),
    );
    writeFileSync(
      join(folder, leavesFile(0)),
      lines
        .slice(0, 20)
        .map((line) => `${line}\n`)
        .join(''),
    );
    writeFileSync(
      join(folder, leavesFile(20)),
      lines
        .slice(20)
        .map((line) => `${line}\n`)
        .join(''),
    );
    const shards = (firstIndex: number) =>
      [0, 1].map(() => {
        const shard = simulationShard({ candidate: candidate(), keys, firstIndex, firstMs: 0 });
        return {
          send: async ({ lines: some, indexes }: { lines: string; indexes: readonly number[] }) =>
            some.split('\n').forEach((line, at) => {
              shard.take(line, indexes[at]!);
            }),
          drain: async () => shard.drain(),
          end: async () => {},
        };
      });
    const run = { source: ledgerIn(folder), reached: () => {} };
    const whole = await replay({ ...run, shards: shards(0), from: 0 });
    const changes = ({ changed }: { changed: Map<string, { count: number; first: number; last: number }> }) =>
      [...changed].map(([key, { count, first, last }]) => [key, count, first, last]).sort();
    expect(changes(whole.tally)).toEqual(changes(found(lines)));
    const state = join(folder, 'state.json');
    const half = emptyTally();
    addTally(half, found(lines.slice(0, 30)));
    keepReplay(state, 'one', 30, half);
    expect(() => recallReplay(state, 'another')).toThrow('another simulation');
    const before = recallReplay(state, 'one')!;
    const rest = await replay({ ...run, shards: shards(before.next), from: 10, before: before.tally });
    expect([changes(rest.tally), rest.tally.decisions]).toEqual([changes(whole.tally), whole.tally.decisions]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
