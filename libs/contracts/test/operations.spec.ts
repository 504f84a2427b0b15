import { expect, test } from '@jest/globals';
import { z } from 'zod';
import {
  Action,
  Applied,
  accessLifecycleOperations,
  accessOperations,
  actionTable,
  alertOperations,
  auditOperations,
  backupHsmOperations,
  backupOperations,
  CloudEventEnvelope,
  CommittedRecord,
  cryptoOperations,
  explainOperations,
  exportOperations,
  importOperations,
  internalOperations,
  keyOperations,
  migrationHsmOperations,
  type Operation,
  OperationRecord,
  policyOperations,
  problem,
  RefusedStateRecord,
  Reply,
  reportOperations,
  requestType,
  reviewOperations,
  SessionRecord,
  TokenRecord,
  transportHsmOperations,
  UnansweredRecord,
  ViolationRecord,
} from '../src/index';

const published: Operation[] = [
  cryptoOperations,
  keyOperations,
  backupOperations,
  importOperations,
  exportOperations,
  policyOperations,
  explainOperations,
  accessLifecycleOperations,
  reviewOperations,
  accessOperations,
  auditOperations,
  reportOperations,
  alertOperations,
].flatMap((group) => Object.values(group));
const internal: Operation[] = [internalOperations, transportHsmOperations, backupHsmOperations, migrationHsmOperations].flatMap((group) =>
  Object.values<Operation>(group),
);
const all = [...published, ...internal];
const named = all.map((operation) => [operation.name, operation] as const);
const shapeOf = (operation: Operation) => (operation.request as z.ZodObject).shape as Record<string, z.ZodType>;

test('no two operations have one name, and each name is two tokens of a subject', () => {
  expect(new Set(all.map((o) => o.name)).size).toBe(all.length);
  for (const { name, service, verb } of all) {
    expect(name).toMatch(/^[a-z]+\.[a-z-]+$/);
    expect(`${service}.${verb}`).toBe(name);
  }
});

test('policy knows the action of each operation that a caller can ask for', () => {
  for (const { name, action } of published) expect([name, Action.safeParse(action).success]).toEqual([name, true]);
  for (const { action } of internal) expect(action).toBe('internal');
  expect(Object.keys(actionTable)).not.toContain('internal');
});

test.each(named)('%s: a request is strict', (_name, operation) => {
  const issues = operation.request.safeParse({ type: requestType, surprise: 1 }).error?.issues ?? [];
  expect(issues).toContainEqual(expect.objectContaining({ code: 'unrecognized_keys', keys: ['surprise'] }));
});

test.each(named)('%s: a request without its type, or of another version, is none', (_name, operation) => {
  for (const type of [undefined, 'claviger.request/2', 'claviger.request', null]) {
    const issues = operation.request.safeParse({ ...(type === undefined ? {} : { type }) }).error?.issues ?? [];
    expect(issues.some((i) => i.path[0] === 'type')).toBe(true);
  }
});

test.each(published.map((o) => [o.name, o] as const))('%s: every text and list that a caller may send is bounded', (_name, operation) => {
  for (const [field, schema] of Object.entries(shapeOf(operation)))
    expect([field, unbounded(z.toJSONSchema(schema, { io: 'input' }))]).toEqual([field, []]);
});

/** Places of a JSON Schema where a caller could send as much as fits a message. Those of the bundle are bounded as a whole by its own limits. */
function unbounded(schema: unknown, path = ''): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  const s = schema as Record<string, unknown> & { type?: string };
  const here: string[] = [];
  if (s.type === 'string' && s.maxLength === undefined && s.const === undefined && s.enum === undefined && !boundedPattern(s))
    here.push(path);
  if (s.type === 'array' && s.maxItems === undefined) here.push(path);
  const children = [
    ...Object.entries((s.properties ?? {}) as object),
    ...(s.items ? [['items', s.items]] : []),
    ...(['anyOf', 'oneOf', 'allOf'] as const).flatMap((k) => ((s[k] ?? []) as unknown[]).map((c, n) => [`${k}.${n}`, c])),
  ] as [string, unknown][];
  return [...here, ...children.flatMap(([name, child]) => unbounded(child, `${path}/${name}`))];
}
const boundedPattern = (s: Record<string, unknown>) =>
  s.format === 'date-time' ||
  (typeof s.pattern === 'string' && s.pattern.startsWith('^') && s.pattern.endsWith('$') && !/[^\\][*+]/.test(s.pattern));

const receipt = { worker: 'w', epoch: 'e', seq: 0, batchHash: 'A'.repeat(43), index: 0 };
const common = { id: 'i', time: '2026-01-01T00:00:00.000Z', service: 's' };
const foreign: [string, z.ZodType, object][] = [
  ['a result', Reply, { result: {}, receipt }],
  ['a problem', Reply, { problem: problem('ERR_INTERNAL') }],
  [
    'an event',
    CloudEventEnvelope,
    { specversion: '1.0', id: '1', source: 's', type: 't', time: common.time, datacontenttype: 'application/json', data: {} },
  ],
  ['an acknowledgement', Applied, { worker: 'w', id: 'k', revision: 1 }],
  [
    'a record',
    OperationRecord,
    { kind: 'operation', ...common, action: 'a', principal: 'p', session: 's', outcome: 'success', revisions: {} },
  ],
  [
    'a committed record',
    CommittedRecord,
    {
      kind: 'committed',
      ...common,
      action: 'a',
      principal: 'p',
      session: 's',
      revisions: {},
      revision: 1,
      record: 'x',
      committedAt: common.time,
    },
  ],
  [
    'a refused state',
    RefusedStateRecord,
    { kind: 'refused-state', ...common, bucket: 'keys', key: 'k', reason: 'deleted', detail: 'd', holder: 'h', count: 1 },
  ],
  ['a session record', SessionRecord, { kind: 'session', ...common, event: 'opened', session: 's' }],
  ['a token record', TokenRecord, { kind: 'token', ...common, event: 'failing', token: 't', since: common.time, detail: 'd', holder: 'h' }],
  ['a violation', ViolationRecord, { kind: 'violation', ...common, session: 's', violation: 'publish', subject: 'x', count: 1 }],
  ['an unanswered record', UnansweredRecord, { kind: 'unanswered', ...common, records: ['x'] }],
];

test.each(foreign)('%s is never taken for a request, even with the type of one put in', (_what, schema, message) => {
  expect(schema.safeParse(message).success).toBe(true);
  for (const { name, request } of all) {
    expect([name, request.safeParse(message).success]).toEqual([name, false]);
    expect([name, request.safeParse({ ...message, type: requestType }).success]).toEqual([name, false]);
  }
  // And what holds the type of a request is not one of these: whatever a caller echoes, it is no request.
  expect(schema.safeParse({ ...message, type: requestType }).success).toBe(schema === CloudEventEnvelope);
});
