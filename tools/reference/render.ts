import {
  accessLifecycleOperations,
  accessOperations,
  actionTable,
  alertOperations,
  auditOperations,
  backupHsmOperations,
  backupOperations,
  buckets,
  changeOperations,
  clientAlerts,
  consumers,
  cryptoOperations,
  type EventType,
  elevationOperations,
  errorTable,
  eventSubject,
  eventTypes,
  explainOperations,
  exportOperations,
  importOperations,
  internalOperations,
  internalSubject,
  keyBatchOperations,
  keyOperations,
  keyStates,
  limits,
  migrationHsmOperations,
  type Operation,
  packedLimits,
  policyOperations,
  quotaOperations,
  reportOperations,
  reviewOperations,
  streams,
  transportHsmOperations,
} from '@claviger/contracts';
import { z } from 'zod';
import { code, table } from './table';

/** Text of docs/reference.md: what the contracts say, and nothing else. */
export const renderReference = (): string =>
  [
    '# Reference',
    'Made from `libs/contracts` by `npm run docs`; a test fails when it is not current. Do not edit.',
    '## Operations',
    'A caller publishes a request on `claviger.v1.<principal>.<session>.<service>.<verb>`: JSON with `"type": "claviger.request/1"`, an optional `requestId` (1 to 64 of A-Z, a-z, 0-9, _ and -) and the fields below; unknown fields are refused. Bytes are base64url without padding. The reply is `{"result", "receipt"}` or `{"problem", "receipt"}`. _Safe_: sending it twice has the effect of once.',
    ...[
      cryptoOperations,
      keyOperations,
      keyBatchOperations,
      importOperations,
      exportOperations,
      backupOperations,
      policyOperations,
      explainOperations,
      accessLifecycleOperations,
      reviewOperations,
      changeOperations,
      accessOperations,
      accessLifecycleOperations,
      reviewOperations,
      elevationOperations,
      quotaOperations,
      auditOperations,
      reportOperations,
      alertOperations,
    ].flatMap((group) => (Object.values(group) as Operation[]).flatMap(describeOperation)),
    '## Internal operations',
    'Between services, on subjects that no account but CORE reaches.',
    table(
      ['subject', 'what', 'safe'],
      [internalOperations, transportHsmOperations, backupHsmOperations, migrationHsmOperations]
        .flatMap((group) => Object.values<Operation>(group))
        .map((o) => [code(internalSubject(o.service, o.verb)), o.summary, o.retry === 'safe' ? 'yes' : 'no']),
    ),
    '## Policy actions',
    'What each action is about: one key, or the system as a whole.',
    table(
      ['action', 'resource'],
      Object.entries(actionTable).map(([action, resource]) => [code(action), resource]),
    ),
    '## Problems',
    'Replies carry the members of RFC 9457 with a closed `code`. _Retryable_: the same request may succeed later without a change by the caller.',
    table(
      ['code', 'status', 'retryable', 'meaning', 'what to do'],
      Object.entries(errorTable).map(([name, { status, retryable, title, next }]) => [
        code(name),
        String(status),
        retryable ? 'yes' : 'no',
        title,
        next,
      ]),
    ),
    '## Key states',
    'Of a key version, after NIST SP 800-57 Part 1 rev. 5 §7. A suspended _key_ processes only when it was suspended with `allowProcessing`.',
    table(
      ['state', 'may', 'may go to'],
      Object.entries(keyStates).map(([state, { uses, next }]) => [code(state), uses.join(', ') || 'nothing', next.join(', ') || 'nowhere']),
    ),
    '## Limits',
    table(
      ['limit', 'value'],
      Object.entries(limits).map(([name, value]) => [code(name), String(value)]),
    ),
    '## Streams',
    table(
      ['stream', 'subjects', 'what', 'kept', 'protected'],
      Object.entries(streams).map(([name, s]) => [
        code(name),
        s.subjects.map(code).join(', '),
        s.summary,
        s.maxAgeSeconds === 0 ? 'for ever' : `${s.maxAgeSeconds / 86_400} days`,
        s.protected ? 'no delete, no purge' : '',
      ]),
    ),
    `In the CLIENTS account: stream \`${clientAlerts.stream}\`, a copy of ALERTS, with the pull consumer \`${clientAlerts.consumer}\`; live on \`${clientAlerts.liveSubject}\`.`,
    '## Buckets and consumers',
    table(
      ['bucket', 'what'],
      Object.values(buckets).map(({ bucket, summary }) => [code(bucket), summary]),
    ),
    table(
      ['consumer', 'stream', 'ack wait (s)', 'most unacknowledged'],
      Object.values(consumers).map((c) => [code(c.name), code(c.stream), String(c.ackWaitMs / 1_000), String(c.maxAckPending)]),
    ),
    '## Events',
    'CloudEvents 1.0 in structured JSON; `id` equals the `Nats-Msg-Id`. The subject may have a further token at its end.',
    table(
      ['type', 'stream', 'subject'],
      (Object.keys(eventTypes) as EventType[]).map((type) => [code(type), code(eventTypes[type].stream), code(eventSubject(type))]),
    ),
  ]
    .join('\n\n')
    .concat('\n');

function describeOperation({ name, action, summary, retry, packs, request, result }: Operation): string[] {
  const { type: _, requestId: __, ...fields } = shape(request, 'input').properties ?? {};
  const required = shape(request, 'input').required ?? [];
  const gives = Object.entries(shape(result, 'output').properties ?? {}).map(([field, schema]) => `${code(field)} ${typeText(schema)}`);
  return [
    `### \`${name}\``,
    `${summary} Policy action \`${action}\`; ${retry === 'safe' ? 'safe' : 'not safe'} to repeat.`,
    ...(Object.keys(fields).length === 0
      ? []
      : [
          table(
            ['field', 'type', 'required'],
            Object.entries(fields).flatMap(([field, schema]) => fieldRows(field, schema, required.includes(field))),
          ),
        ]),
    `Gives ${gives.join(', ')}.`,
    ...(packs
      ? [
          `Where ${packs.map(code).join(', ')} is longer than ${packedLimits.plainChars} characters as JSON, it travels as \`{"deflated", "bytes"}\`: the JSON text as raw DEFLATE (RFC 1951) in base64url, and its length in bytes; at most ${packedLimits.deflatedBytes} bytes deflated and ${packedLimits.bytes} inflated. Either form is taken, wherever the field stands.`,
        ]
      : []),
  ];
}

/** A field, and those within it, as `outer.inner`. */
const fieldRows = (name: string, schema: Schema, required: boolean): string[][] => [
  [code(name), schema.properties ? typeText(schema) : fieldText(schema), required ? 'yes' : defaultText(schema)],
  ...Object.entries(schema.properties ?? {}).flatMap(([inner, within]) =>
    fieldRows(`${name}.${inner}`, within, schema.required?.includes(inner) === true),
  ),
];

interface Schema {
  type?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  allOf?: Schema[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  maxItems?: number;
  default?: unknown;
}
const shape = (schema: z.ZodType, io: 'input' | 'output') => z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Schema;

function typeText(schema: Schema): string {
  if (schema.const !== undefined) return code(JSON.stringify(schema.const));
  if (schema.enum) return schema.enum.map((value) => code(String(value))).join(' or ');
  if (schema.type === 'array')
    return `list of ${typeText(schema.items ?? {})}${schema.maxItems === undefined ? '' : `, at most ${schema.maxItems}`}`;
  if (schema.type === 'integer') return `whole number${range(schema.minimum, schema.maximum)}`;
  if (schema.type === 'string') return `text${schema.maxLength === undefined ? '' : `, at most ${schema.maxLength} characters`}`;
  return schema.type ?? 'any';
}

/** A field of a request with what is in it: nobody can send what is not written down. */
function fieldText(schema: Schema): string {
  if (schema.anyOf) return schema.anyOf.map(fieldText).join(' or ');
  if (!schema.properties) return typeText(schema);
  const optional = (name: string) => (schema.required?.includes(name) ? '' : '?');
  return `{ ${Object.entries(schema.properties)
    .map(([name, inside]) => `${code(`${name}${optional(name)}`)} ${fieldText(inside)}`)
    .join('; ')} }`;
}

function range(min: number | undefined, max: number | undefined): string {
  const lowest = min !== undefined && min > Number.MIN_SAFE_INTEGER ? ` from ${min}` : '';
  return `${lowest}${max !== undefined && max < Number.MAX_SAFE_INTEGER ? ` to ${max}` : ''}`;
}

const defaultText = (schema: Schema) => (schema.default === undefined ? 'no' : `no (${code(JSON.stringify(schema.default))})`);
