import { finishBatch, genesisPrev, sealBatch } from '@claviger/ledger';
import { expect, test } from '@jest/globals';
import { readUses } from '../src/observed-use';
import { keyId, startMs } from './series-of-uses';

const batch = (lines: string[]) =>
  finishBatch(sealBatch({ service: 'crypto-worker', worker: 'w-1', epoch: 'e1', seq: 1, prev: genesisPrev() }, lines), Buffer.alloc(64));
const record = (more: Record<string, unknown> = {}) =>
  JSON.stringify({
    kind: 'operation',
    id: 'i.1',
    time: new Date(startMs).toISOString(),
    service: 'crypto-worker',
    action: 'crypto:Encrypt',
    principal: 'payments-api',
    session: 's',
    keyId: keyId(1),
    outcome: 'success',
    revisions: {},
    ...more,
  });

test('the code of a refusal is read where it is one', () => {
  const data = batch([record({ outcome: 'failed', code: 'ERR_KEY_PENDING_DELETION' }), record({ outcome: 'failed', code: 7 })]);
  expect(readUses(1, data, startMs).uses.map(({ code }) => code)).toEqual(['ERR_KEY_PENDING_DELETION', undefined]);
});

test('uses are read with their place; epochs, sessions and the seal are not uses', () => {
  const data = batch([
    '{"kind":"epoch","x":1}',
    record(),
    '{"kind":"session","event":"opened"}',
    record({ outcome: 'denied', keyId: undefined }),
  ]);
  const { uses, ignored } = readUses(7, data, startMs);
  expect(ignored).toBe(0);
  expect(uses).toEqual([
    {
      streamSeq: 7,
      line: 1,
      recordId: 'i.1',
      timeMs: startMs,
      principal: 'payments-api',
      keyId: keyId(1),
      action: 'crypto:Encrypt',
      outcome: 'success',
      committed: false,
    },
    {
      streamSeq: 7,
      line: 3,
      recordId: 'i.1',
      timeMs: startMs,
      principal: 'payments-api',
      action: 'crypto:Encrypt',
      outcome: 'denied',
      committed: false,
    },
  ]);
});

test('a change that was committed and recorded only afterwards is a use that succeeded', () => {
  const line = record({ kind: 'committed', outcome: undefined, action: 'keys:Suspend', record: 'i.1', id: 'i.1.committed' });
  expect(readUses(1, batch([line]), startMs)).toMatchObject({
    uses: [{ recordId: 'i.1.committed', committed: true, action: 'keys:Suspend', principal: 'payments-api', outcome: 'success' }],
    ignored: 0,
  });
});

test.each([
  ['not JSON', '{"kind":"operation",}'],
  ['no kind', '{"a":1}'],
  ['a prototype', '{"__proto__":{"kind":"operation"},"constructor":1}'],
  ['a principal that is no principal', record({ principal: '../../etc\u0000' })],
  ['a principal of another type', record({ principal: { $gt: '' } })],
  ['a time that is none', record({ time: 'yesterday' })],
  ['a time before 1970', record({ time: '1969-01-01T00:00:00.000Z' })],
  ['an outcome that is none', record({ outcome: '__proto__' })],
  ['an action with text in it', record({ action: 'crypto:Encrypt <script>' })],
])('a hostile line is passed over, and its neighbours are read: %s', (_what, line) => {
  const { uses, ignored } = readUses(1, batch([record(), line, record()]), startMs);
  expect([uses.length, ignored]).toEqual([2, 1]);
});

test('a message that is no batch is passed over', () => {
  for (const bytes of ['', 'x', '{}\n{}', `${record()}\n`, '\xff'.repeat(10)])
    expect(readUses(1, Buffer.from(bytes, 'latin1'), startMs)).toEqual({
      uses: [],
      tokens: [],
      refused: [],
      quotas: [],
      notices: [],
      brokenGlass: [],
      ignored: 1,
    });
});

test('a key id that is none is left out, the use still counts for its principal', () => {
  expect(readUses(1, batch([record({ keyId: 'k_short' })]), startMs).uses[0]).toMatchObject({
    keyId: undefined,
    principal: 'payments-api',
  });
});

test('a record from the future counts as of when the broker stored it', () => {
  const at = (ms: number) => readUses(1, batch([record({ time: new Date(startMs + ms).toISOString() })]), startMs).uses[0]?.timeMs;
  expect(at(29_000)).toBe(startMs + 29_000);
  expect(at(31_000)).toBe(startMs);
});
