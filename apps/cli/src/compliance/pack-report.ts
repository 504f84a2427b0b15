import { type Policy, parsePolicies } from '@claviger/authz';
import {
  algorithms,
  type CheckResult,
  type Control,
  type ControlCheck,
  type ControlReport,
  type ControlStatements,
  type KeyDescription,
  type PackReport,
  type RegulationPack,
} from '@claviger/contracts';
import { successorsOf } from '../inventory-findings';
import { asksOf } from './asks';
import { type DecisionCheck, type Decisions, decisionCheck } from './decision-checks';
import { isDestroyed, type KeyCheck, knownOfKeys } from './key-checks';
import { clipped, failuresMost, inScope, type KeyFold, keyFold, type Scope } from './key-fold';
import { dayMs, type KeysSeen, type Observed, type Seen } from './observed';
import { type SiteCheck, siteCheck } from './site-checks';

/** One pack under way: keys are shown to it one by one, then it is told what else was seen. */
export interface PackUnderWay {
  add(key: KeyDescription): void;
  report(keys: KeysSeen): PackReport;
}

export interface PackGiven {
  readonly pack: RegulationPack;
  /** Its policies, as they come with it. */
  readonly guards: readonly Policy[];
  readonly observed: Observed;
  readonly decisions: Seen<Decisions>;
  readonly statements: ControlStatements;
}

export function packUnderWay({ pack, guards, observed, decisions, statements }: PackGiven): PackUnderWay {
  const { bundle, nowMs } = observed;
  const inForce = bundle.ok ? bundle.value.packs?.find(({ id }) => id === pack.id) : undefined;
  const scope: Scope = { ...pack.scope, ...(inForce?.tag ? { tag: inForce.tag } : {}) };
  const known = knownOfKeys(observed);
  // Controls ask for the same more than once: it is looked at once.
  const folds = new Map<string, KeyFold>();
  for (const { checks } of pack.controls)
    for (const check of checks) if (isKeyCheck(check)) folds.set(JSON.stringify(check), keyFold(check, scope, observed, known));
  const outside: KeyDescription[] = [];
  const parsed = bundle.ok ? parsePolicies(bundle.value.policies) : undefined;
  const running = parsed?.ok ? parsed.policies : undefined;
  return {
    add: (key) => {
      for (const fold of folds.values()) fold.add(key);
      if (pack.transition && !isDestroyed(key) && inScope(scope, key) && isOutside(key)) outside.push(key);
    },
    report: (keys) => {
      const results = new Map<string, CheckResult>();
      const resultOf = (check: ControlCheck): CheckResult => {
        const name = JSON.stringify(check);
        const result =
          results.get(name) ??
          (isKeyCheck(check) ? (folds.get(name) as KeyFold).result(keys) : otherResult(check, { observed, decisions, guards }));
        results.set(name, result);
        return result;
      };
      const controls = pack.controls.map((control) =>
        controlReport(control, control.checks.map(resultOf), running, statementFor(statements, control, nowMs)),
      );
      const { id, title, version, leftOut, sources } = pack;
      const count = (status: ControlReport['status']) => controls.filter((control) => control.status === status).length;
      return {
        ...{ id, title, version, scope: scopeText(scope), leftOut, sources: [...sources] },
        ...(inForce ? { inForce: { version: inForce.version } } : {}),
        ...(inForce?.tag ? { tag: inForce.tag } : {}),
        counts: { met: count('met'), gap: count('gap'), unknown: count('unknown'), manual: count('manual') },
        controls,
        ...(pack.transition
          ? {
              transition: outside
                .map((key) => leaving(key, pack.transition as Transition, nowMs))
                .sort((a, b) => (a.lastDay < b.lastDay ? -1 : 1)),
            }
          : {}),
      };
    },
  };
}

const isKeyCheck = (check: ControlCheck): check is KeyCheck => check.check.startsWith('key-');
const decided: readonly ControlCheck['check'][] = [
  'second-factor',
  'administrators-never-use',
  'approvals',
  'nobody-may',
  'roles-separated',
  'quorum-attainable',
  'role-holders',
];
const isDecision = (check: ControlCheck): check is DecisionCheck => decided.includes(check.check);

function otherResult(
  check: ControlCheck,
  { observed, decisions, guards }: Pick<PackGiven, 'observed' | 'decisions' | 'guards'>,
): CheckResult {
  const looked = isDecision(check)
    ? decisions.ok
      ? decisionCheck(check, decisions.value)
      : { why: `the policies in force: ${decisions.why}` }
    : siteCheck(check as SiteCheck, observed, guards);
  const base = { check: check.check, asks: asksOf(check) };
  if ('why' in looked)
    return { ...base, outcome: 'unknown', lookedAt: 'nothing', why: `could not be read: ${looked.why}`, failed: 0, failures: [] };
  const { failures, lookedAt } = looked;
  return {
    ...base,
    outcome: failures.length > 0 ? 'fail' : 'pass',
    lookedAt,
    failed: failures.length,
    failures: failures.slice(0, failuresMost).map(clipped),
  };
}

function controlReport(
  control: Control,
  checks: CheckResult[],
  running: readonly Policy[] | undefined,
  statement: ControlReport['statement'],
): ControlReport {
  const { id, title, requirement, severity, ownerRole, alsoServedBy, evidence, manual } = control;
  const names = [id, ...alsoServedBy];
  const policies = running?.flatMap(({ id: policy, effect, controls, summary }) => {
    const by = names.find((name) => controls.includes(name));
    return by === undefined ? [] : [{ id: policy, effect, by, ...(summary === undefined ? {} : { summary }) }];
  });
  const failed = checks.some(({ outcome }) => outcome === 'fail');
  const unknown = checks.some(({ outcome }) => outcome === 'unknown');
  return {
    ...{ id, title, requirement, severity, ownerRole },
    status: failed ? 'gap' : unknown ? 'unknown' : manual !== undefined && !statement ? 'manual' : 'met',
    ...(policies ? { policies } : {}),
    checks,
    evidence: evidence.map(({ what }) => what),
    ...(manual === undefined ? {} : { manual }),
    ...(statement ? { statement } : {}),
  };
}

/** One that is over counts no more. */
function statementFor(statements: ControlStatements, { id }: Control, nowMs: number): ControlReport['statement'] {
  const today = new Date(nowMs).toISOString().slice(0, 10);
  const found = statements
    .filter(({ control, validUntil }) => control === id && validUntil >= today)
    .sort((a, b) => (a.at < b.at ? 1 : -1))[0];
  if (!found) return undefined;
  const { control: _, ...said } = found;
  return said;
}

type Transition = NonNullable<RegulationPack['transition']>;
const isOutside = (key: KeyDescription): boolean => !algorithms[key.algorithm].cnsa2;

/** By when a key outside the suite is to be left behind. Where nobody says what it is used for, the first of the dates is taken. */
function leaving(key: KeyDescription, { tag, uses }: Transition, nowMs: number) {
  const use = uses.find((one) => one.use === key.tags[tag]);
  const lastDay = use?.lastDay ?? (uses.map((one) => one.lastDay).sort()[0] as string);
  return {
    ...{ keyId: key.keyId, name: key.name, algorithm: key.algorithm, lastDay },
    ...(use ? { use: use.title } : {}),
    daysLeft: Math.floor((Date.parse(lastDay) + dayMs - nowMs) / dayMs),
    rotateTo: successorsOf(key),
  };
}

function scopeText({ environments, classifications, tag }: Scope): string {
  const kinds = [classifications?.join(' or '), environments?.join(' or ')].filter((part) => part !== undefined).join(' ');
  return `${kinds === '' ? 'all keys' : `${kinds} keys`}${tag ? ` with the tag ${tag.name}${tag.value === undefined ? '' : `=${tag.value}`}` : ''}`;
}
