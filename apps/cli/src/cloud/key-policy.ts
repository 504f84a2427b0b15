import { z } from 'zod';

/** AWS takes policies of up to 32 KiB. */
const text = z.string().max(32_768);
const Texts = z.union([text, z.array(text).max(10_000)]);
const Principals = z.union([
  z.literal('*'),
  z.strictObject({ AWS: Texts.optional(), Federated: Texts.optional(), Service: Texts.optional(), CanonicalUser: Texts.optional() }),
]);
const scalar = z.union([text, z.number(), z.boolean()]);
const Statement = z.strictObject({
  Sid: text.optional(),
  Effect: z.enum(['Allow', 'Deny']),
  Principal: Principals.optional(),
  NotPrincipal: Principals.optional(),
  Action: Texts.optional(),
  NotAction: Texts.optional(),
  Resource: Texts.optional(),
  NotResource: Texts.optional(),
  Condition: z.record(text, z.record(text, z.union([scalar, z.array(scalar).max(10_000)]))).optional(),
});
type Statement = z.infer<typeof Statement>;

/** A key policy as AWS KMS has it: the JSON policy language of IAM. What this does not name is not known to be harmless, and not read. */
export const KeyPolicy = z.strictObject({
  Version: z.enum(['2012-10-17', '2008-10-17']).optional(),
  Id: text.optional(),
  Statement: z.union([Statement, z.array(Statement).max(10_000)]),
});
export type KeyPolicy = z.infer<typeof KeyPolicy>;

/**
 * Statements by what they mean, each with words for people. Order does not count, nor one text in place of a list of one, nor Id, Sid and repetitions. Names of actions
 * have no case; an account is its root; all principals are `*` in both ways to write it. The version counts: without 2012-10-17 variables are plain text.
 * Source: "IAM JSON policy elements reference", User Guide of AWS IAM.
 */
export function statementsOf({ Version = '2008-10-17', Statement: given }: KeyPolicy): ReadonlyMap<string, string> {
  const version: [string, string] = [`version ${Version}`, `policy language of ${Version}`];
  return new Map([version, ...[given].flat().map((statement): [string, string] => [meaningOf(statement), wordsOf(statement)])]);
}

const meaningOf = (statement: Statement): string =>
  JSON.stringify([
    statement.Effect,
    ...[statement.Principal, statement.NotPrincipal].map((principals) => principals && asSet(principalsIn(principals))),
    ...[statement.Action, statement.NotAction].map((names) => names && asSet([names].flat().map((name) => name.toLowerCase()))),
    ...[statement.Resource, statement.NotResource].map((names) => names && asSet([names].flat())),
    entriesOf(statement.Condition ?? {}).map(([operator, keys]) => [
      operator,
      entriesOf(keys).map(([key, values]) => [key, asSet([values].flat().map(String))]),
    ]),
  ]);

const asSet = (texts: readonly string[]): string[] => [...new Set(texts)].sort();
const entriesOf = <T>(record: Record<string, T>): [string, T][] => Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));

function principalsIn(principals: NonNullable<Statement['Principal']>): string[] {
  if (principals === '*') return ['AWS *'];
  return Object.entries(principals).flatMap(([kind, names]) => [names ?? []].flat().map((name) => `${kind} ${accountOf(kind, name)}`));
}
const accountOf = (kind: string, name: string): string =>
  (kind === 'AWS' ? /^arn:[a-z-]+:iam::(\d{12}):root$/.exec(name)?.[1] : undefined) ?? name;

const listed = 5;
const few = (texts: readonly string[]): string =>
  texts.length > listed ? `${texts.slice(0, listed).join(', ')} and ${texts.length - listed} more` : texts.join(', ');

function wordsOf(statement: Statement): string {
  const { Sid, Effect, Principal, NotPrincipal, Action, NotAction, Resource, NotResource, Condition } = statement;
  const who = Principal ? few(principalsIn(Principal)) : NotPrincipal ? `all but ${few(principalsIn(NotPrincipal))}` : 'nobody';
  const what = Action ? few([Action].flat()) : NotAction ? `all but ${few([NotAction].flat())}` : 'nothing';
  const on = NotResource ? ` on all but ${few([NotResource].flat())}` : Resource && Resource !== '*' ? ` on ${few([Resource].flat())}` : '';
  const when = Condition ? ` when ${JSON.stringify(Condition).slice(0, 300)}` : '';
  return `${Sid ? `${Sid}: ` : ''}${Effect} ${what} to ${who}${on}${when}`;
}
