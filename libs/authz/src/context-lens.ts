import type { CedarValueJson, Context } from '@cedar-policy/cedar-wasm/nodejs';
import type { AttributeRead, ContextReads } from './context-reads';
import type { RequestContext } from './request';
import { placeAmong } from './thresholds';

/**
 * The part of a request's context that the policies for one action can see. Key and evaluation both go through it: what is not written into
 * the cache key is not shown to Cedar either (it sees a fixed placeholder), so a remembered decision cannot depend on anything else.
 */
export interface ContextLens {
  /** False when the very instant matters (`context.now.toTime()`): then nothing is remembered. */
  readonly cacheable: boolean;
  /** What is seen, as text that differs whenever it differs. Empty, and free, when the policies read nothing of the context. */
  key(context: RequestContext): string;
  /** What is seen, as Cedar's context; the entries of the encryption context are in `encryptionContextTags`. */
  show(context: RequestContext, granted: boolean): Context;
  encryptionContextTags(context: RequestContext): Record<string, string>;
}

export const encryptionContextUid = { type: 'Claviger::EncryptionContext', id: 'request' };

const unread: AttributeRead = { exact: false, thresholds: [], tags: [] };
const everything: AttributeRead = { exact: true, thresholds: [], tags: [] };

export function contextLens(reads: ContextReads): ContextLens {
  const read = (name: string): AttributeRead | undefined => (reads.whole ? everything : reads.attributes.get(name));
  const now = read('now') ?? unread;
  const age = read('sessionAgeSeconds');
  const ip = read('ip');
  const mfa = read('mfa')?.exact ?? false;
  const authMethod = read('authMethod')?.exact ?? false;
  const acr = read('acr');
  const encryption = read('encryptionContext') ?? unread;

  const writers: ((context: RequestContext) => string)[] = [];
  if (mfa) writers.push((context) => (context.mfa ? 't' : 'f'));
  if (authMethod) writers.push((context) => text(context.authMethod));
  if (acr) writers.push((context) => (context.acr === undefined ? '-' : acr.exact ? text(context.acr) : '+'));
  if (now.thresholds.length > 0) writers.push((context) => `${placeAmong(now.thresholds, context.nowMs)};`);
  if (age) writers.push((context) => (context.sessionAgeSeconds === undefined ? '-' : `${seen(age, context.sessionAgeSeconds)};`));
  if (ip) writers.push((context) => (context.ip === undefined ? '-' : ip.exact ? text(context.ip) : '+'));
  const tags = (context: RequestContext) => visibleTags(encryption, context.encryptionContext ?? {});
  if (encryption.exact || encryption.tags.length > 0) writers.push((context) => tagsText(tags(context)));

  return {
    cacheable: !now.exact,
    key: (context) => {
      let key = '';
      for (const write of writers) key += write(context);
      return key;
    },
    show: (context, granted) => ({
      mfa: mfa && context.mfa,
      authMethod: authMethod ? context.authMethod : '',
      ...(acr && context.acr !== undefined ? { acr: acr.exact ? context.acr : '' } : {}),
      granted,
      now: datetime(now.exact || now.thresholds.length > 0 ? context.nowMs : 0),
      encryptionContext: { __entity: encryptionContextUid },
      ...(age && context.sessionAgeSeconds !== undefined
        ? { sessionAgeSeconds: age.exact || age.thresholds.length > 0 ? context.sessionAgeSeconds : 0 }
        : {}),
      ...(ip && context.ip !== undefined ? { ip: { __extn: { fn: 'ip', arg: ip.exact ? context.ip : '0.0.0.0' } } } : {}),
    }),
    encryptionContextTags: (context) => Object.fromEntries(tags(context)),
  };
}

function seen(read: AttributeRead, value: number): number {
  return read.exact ? value : placeAmong(read.thresholds, value);
}

function visibleTags(read: AttributeRead, context: Readonly<Record<string, string>>): [string, string][] {
  if (read.exact) return Object.entries(context).sort(([a], [b]) => (a < b ? -1 : 1));
  return read.tags.filter((name) => Object.hasOwn(context, name)).map((name) => [name, context[name]!]);
}

const tagsText = (tags: readonly [string, string][]): string =>
  `${tags.length};${tags.map(([name, value]) => text(name) + text(value)).join('')}`;
/** With its length in front, so that no value can pass for the end of another. */
const text = (value: string): string => `${value.length}:${value}`;
const datetime = (ms: number): CedarValueJson => ({ __extn: { fn: 'datetime', arg: new Date(ms).toISOString() } });
