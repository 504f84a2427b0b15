import type { DetailedError, PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';
import { type Approval, approvalOf } from './approval';
import type { BundleIssue } from './bundle-issue';
import { tooDeep } from './nesting';
import { policyTexts } from './policy-texts';
import { atOnce, type Calls, call, type Work } from './steps';

export interface Policy {
  /** Its @id. */
  readonly id: string;
  readonly effect: 'permit' | 'forbid';
  /** Of @control, in order, for example `PCI-DSS-4.0.1:3.7.6`. */
  readonly controls: readonly string[];
  /** Of @summary: one line for people. */
  readonly summary?: string;
  readonly approval: Approval;
  readonly json: PolicyJson;
  readonly text: string;
}
type Refused = { ok: false; issues: BundleIssue[] };
export type ParsedPolicies = { ok: true; policies: Policy[] } | Refused;

const idPattern = /^[a-z0-9][a-z0-9-]{0,63}$/;

/** Parses a Cedar policy text. Every policy must say who it is (@id) and what it is for (@control). */
export const parsePolicies = (text: string): ParsedPolicies => atOnce(parsing(text, new Map()));

/** So many are parsed before others have their turn. */
const parsedTogether = 40;

/** So little is parsed in less time than another thread takes to hear of it. */
const briefChars = 4_000;

/** The same in steps. What is in `known`, by its text, is not parsed again. */
export function* parsing(text: string, known: ReadonlyMap<string, Policy>): Work<ParsedPolicies> {
  const deep = tooDeep(text, 'policies');
  if (deep) return refuse({ where: 'policies', message: deep });
  yield undefined;
  const split = (known.size > 0 ? yield* splittingRest(text, known) : undefined) ?? (yield* splittingWhole(text));
  if (!Array.isArray(split)) return split;
  if (split.length === 0) return refuse({ where: 'policies', message: 'there is no policy: everything would be denied' });

  const issues: BundleIssue[] = [];
  const policies: Policy[] = [];
  const seen = new Set<string>();
  const unknown = split.filter((policyText) => !known.has(policyText));
  const answers = new Map<string, ReturnType<Calls['policyToJson']>>();
  for (let from = 0; from < unknown.length; from += parsedTogether) {
    const some = unknown.slice(from, from + parsedTogether);
    const read = yield* parsed(
      'policyToJson',
      some.map((one) => [one]),
    );
    some.forEach((one, index) => void answers.set(one, read[index]!));
  }
  for (const policyText of split) {
    const answer = answers.get(policyText);
    if (answer?.type === 'failure') {
      issues.push(...answer.errors.map((error) => cedarIssue('policies', error, policyText)));
      continue;
    }
    const policy = answer ? describe(policyText, answer.json, issues) : known.get(policyText);
    if (policy && seen.has(policy.id)) issues.push({ where: `policy ${policy.id}`, message: 'another policy has the same @id' });
    else if (policy) policies.push(policy);
    if (policy) seen.add(policy.id);
  }
  return issues.length > 0 ? { ok: false, issues } : { ok: true, policies };
}

/**
 * The text of each policy, where only what is not known is parsed: what Cedar took for one policy it takes for one wherever it stands by itself. Undefined when
 * what is left is not made of policies alone: what is wrong, and where, is said of the whole text.
 */
function* splittingRest(text: string, known: ReadonlyMap<string, Policy>): Work<string[] | undefined> {
  const texts = policyTexts(text);
  if (!texts) return undefined;
  const found = texts.filter((one) => known.has(one));
  const left = texts.filter((one) => !known.has(one)).join('\n');
  if (left === '') return found;
  const parts = (yield* parsed('splitPolicies', [[left]]))[0]!;
  return parts.type === 'success' && parts.policy_templates.length === 0 ? [...found, ...parts.policies] : undefined;
}

function* splittingWhole(text: string): Work<string[] | Refused> {
  const parts = (yield* parsed('splitPolicies', [[text]]))[0]!;
  if (parts.type === 'failure') return { ok: false, issues: parts.errors.map((error) => cedarIssue('policies', error, text)) };
  if (parts.policy_templates.length > 0)
    return refuse({ where: 'policies', message: 'templates (?principal, ?resource) are not supported: use a grant' });
  return parts.policies;
}

/** At once where there is little. */
function* parsed<N extends 'splitPolicies' | 'policyToJson'>(
  name: N,
  calls: readonly Parameters<Calls[N]>[],
): Work<ReturnType<Calls[N]>[]> {
  const chars = calls.reduce((sum, [text]) => sum + (text as string).length, 0);
  return chars <= briefChars ? atOnce(call(name, calls)) : yield* call(name, calls);
}

function describe(text: string, json: PolicyJson, issues: BundleIssue[]): Policy | undefined {
  const annotations = json.annotations ?? {};
  const id = annotations.id ?? '';
  if (!idPattern.test(id)) {
    const scope = text.slice(0, 80).replace(/\s+/g, ' ');
    issues.push({ where: 'policies', message: `a policy needs @id("…") of a-z, 0-9 and -: ${scope}…` });
    return undefined;
  }
  const where = `policy ${id}`;
  const controls = (annotations.control ?? '')
    .split(',')
    .map((control) => control.trim())
    .filter((control) => control !== '');
  if (controls.length === 0) issues.push({ where, message: 'needs @control("…"): the control that it serves' });
  const approval = approvalOf(annotations);
  if (approval.kind === 'invalid') issues.push({ where, message: approval.why });
  if (approval.kind !== 'none' && json.effect === 'forbid')
    issues.push({ where, message: 'a forbid cannot be approved away: @quorum belongs on a permit' });
  return { id, effect: json.effect, controls, summary: annotations.summary || undefined, approval, json, text };
}

/** Cedar's error with the line and column in the text that it was found in. */
export function cedarIssue(where: string, error: DetailedError, text?: string): BundleIssue {
  const label = error.sourceLocations?.[0];
  const place = text !== undefined && label ? lineAndColumn(text, label.start) : '';
  const hint = [label?.label, error.help].filter((part) => part).join('; ');
  return { where, message: `${place}${error.message}`, ...(hint ? { hint } : {}) };
}

/** Cedar counts UTF-8 bytes. */
function lineAndColumn(text: string, byteOffset: number): string {
  const before = Buffer.from(text, 'utf8').subarray(0, byteOffset).toString('utf8').split('\n');
  return `line ${before.length}, column ${before.at(-1)!.length + 1}: `;
}

const refuse = (issue: BundleIssue): Refused => ({ ok: false, issues: [issue] });
