import { floorOf, missingNotes, moduleShortfalls, shortfalls, tokensOf } from '@claviger/authz';
import { algorithms, type ControlCheck, cryptoperiods, type KeyDescription, type KeyProfile, type KnownToken } from '@claviger/contracts';
import { successorsOf } from '../inventory-findings';
import { dayMs, type Observed } from './observed';

/** One thing that is wrong with a key, and what to do about it. */
export interface KeyProblem {
  readonly why: string;
  readonly next: string;
}
export type KeyCheck = Extract<ControlCheck, { check: `key-${string}` }>;

/** What is known beside the key. What a check needs and nobody knows makes it unknown before a key is looked at: `lackOf`. */
export interface KnownOfKeys {
  readonly nowMs: number;
  readonly principals?: ReadonlyMap<string, { readonly disabled: boolean }>;
  readonly profiles?: readonly KeyProfile[];
  readonly tokens?: { readonly records: readonly KnownToken[]; readonly roots: readonly string[] };
}

export function knownOfKeys({ nowMs, bundle, tokens }: Observed): KnownOfKeys {
  const { principals = undefined, profiles = [], tokens: records = [] } = bundle.ok ? bundle.value : {};
  return {
    nowMs,
    ...(principals ? { principals: new Map(principals.map(({ id, disabled }) => [id, { disabled }])), profiles } : {}),
    ...(bundle.ok && tokens.ok ? { tokens: { records, roots: tokens.value.flatMap(({ root, label }) => (root ? [label] : [])) } } : {}),
  };
}

/** Why a check cannot be made at all. */
export function lackOf(check: KeyCheck, { bundle, tokens }: Observed): string | undefined {
  if (check.check !== 'key-owned' && check.check !== 'key-floor') return undefined;
  if (!bundle.ok) return `the policies in force: ${bundle.why}`;
  const asksForModules = bundle.value.profiles?.some(({ moduleLevel }) => moduleLevel !== undefined);
  return check.check === 'key-floor' && asksForModules && !tokens.ok ? `the tokens: ${tokens.why}` : undefined;
}

type Table = {
  [N in KeyCheck['check']]: (key: KeyDescription, check: Extract<KeyCheck, { check: N }>, known: KnownOfKeys) => KeyProblem[];
};

const replace = (key: KeyDescription): string =>
  `make a key of ${successorsOf(key).join(' or ')}, move its consumers to it, then claviger keys deactivate ${key.keyId} --reason …`;
const rotate = ({ keyId }: KeyDescription) => `claviger keys rotate ${keyId} --reason …`;
const say = ({ keyId }: KeyDescription, names: readonly string[]) =>
  `claviger keys update ${keyId} ${names.map((name) => `--${name} …`).join(' ')} --reason …`;
const primaryOf = (key: KeyDescription) => key.versions.find(({ version }) => version === key.primaryVersion);
const protects = (key: KeyDescription) => primaryOf(key)?.state === 'active' && !key.suspended && key.deletionAt === undefined;
const older = (at: string, days: number, nowMs: number) => Date.parse(at) + days * dayMs < nowMs;

/** The one table of what is looked at in a key. The clause or section that asks for it is in the pack. */
const table: Table = {
  'key-strength': (key, { bitsMin }, { nowMs }) => {
    const { strengthBits, protectUntil } = algorithms[key.algorithm];
    if (strengthBits < bitsMin)
      return [{ why: `${key.algorithm} has ${strengthBits} bits of strength, and ${bitsMin} are asked for`, next: replace(key) }];
    const ended = protectUntil !== undefined && nowMs >= Date.parse(protectUntil) + dayMs;
    return ended && protects(key)
      ? [{ why: `${key.algorithm} was to protect until ${protectUntil} at the latest`, next: replace(key) }]
      : [];
  },
  'key-cnsa2': (key) => (algorithms[key.algorithm].cnsa2 ? [] : [{ why: `CNSA 2.0 does not list ${key.algorithm}`, next: replace(key) }]),
  'key-cryptoperiod': (key, { originatorDaysMax }) => {
    const most = originatorDaysMax ?? cryptoperiods[key.usage].originatorDays;
    const { originatorDays } = key.cryptoperiod;
    if (originatorDays <= most) return [];
    return [
      {
        why: `a version protects for ${originatorDays} days, and ${most} are the most for a key that is to ${key.usage}`,
        next: `claviger keys set-rotation ${key.keyId} --originator-days ${most} --recipient-days … --reason …`,
      },
    ];
  },
  'key-rotation-scheduled': (key, { withinDays }) => {
    const { protectsAtMostDays: days } = key;
    const next = `claviger keys set-rotation ${key.keyId} --every ${Math.min(withinDays ?? 365, key.cryptoperiod.originatorDays)}d --reason …`;
    if (days === undefined) return [{ why: 'nothing ends the use of a version by itself', next }];
    return withinDays !== undefined && days > withinDays
      ? [{ why: `a version protects for up to ${days} days, and ${withinDays} are the most`, next }]
      : [];
  },
  'key-not-overdue': (key, { graceDays }, { nowMs }) => {
    const found: KeyProblem[] = [];
    const { originatorPeriodEndsAt: end, rotationDue } = key;
    if (end !== undefined && protects(key) && older(end, graceDays, nowMs))
      found.push({ why: `its originator usage period ended ${end}, and it still protects`, next: rotate(key) });
    if (rotationDue && !key.suspended && older(rotationDue.at, Math.max(graceDays, 1), nowMs))
      found.push({ why: `a rotation is due since ${rotationDue.at}: ${rotationDue.reason}`, next: rotate(key) });
    return found;
  },
  'key-compromise-answered': (key) => {
    const primary = primaryOf(key);
    return primary?.state === 'compromised'
      ? [
          {
            why: `version ${primary.version}, the newest, is compromised, and nothing took its place`,
            next: `${rotate(key)}; then claviger keys impact ${key.keyId}`,
          },
        ]
      : [];
  },
  'key-suspension-decided': (key, { withinDays }, { nowMs }) => {
    if (!key.suspended || key.deletionAt !== undefined) return [];
    const since = key.versions
      .flatMap(({ transitions }) => transitions.filter(({ to }) => to === 'suspended').map(({ at }) => at))
      .sort()
      .at(-1);
    if (since !== undefined && !older(since, withinDays, nowMs)) return [];
    const next = `claviger keys resume ${key.keyId} --reason …, or keys schedule-deletion ${key.keyId} --reason …`;
    return [{ why: `it is suspended ${since ? `since ${since}` : 'since nobody knows when'}, and nothing is decided`, next }];
  },
  'key-owned': (key, _, { principals }) => {
    const owner = principals?.get(key.owner);
    const next = `claviger keys set-owner ${key.keyId} PRINCIPAL --reason …`;
    return [
      ...(owner === undefined ? [{ why: `its owner ${key.owner} is no principal of the policies in force`, next }] : []),
      ...(owner?.disabled ? [{ why: `its owner ${key.owner} is disabled`, next }] : []),
      ...(key.team === undefined ? [{ why: 'no team answers for it', next: say(key, ['team']) }] : []),
    ];
  },
  'key-described': (key, { says }) => {
    const missing = says.filter((name) => key[name] === undefined);
    return missing.length > 0 ? [{ why: `nobody said its ${missing.join(', ')}`, next: say(key, missing) }] : [];
  },
  'key-certified': (key, { everyDays }, { nowMs }) => {
    const since = key.certified?.at ?? key.versions.map(({ createdAt }) => createdAt).sort()[0];
    if (since === undefined || !older(since, everyDays, nowMs)) return [];
    return [
      {
        why: key.certified ? `its owner certified it last on ${since}` : `its owner never certified it since ${since}`,
        next: `its owner: claviger keys certify ${key.keyId} --reason …`,
      },
    ];
  },
  'key-custody': (key) =>
    key.versions.flatMap(({ version, state, custody, kekId, token, missing }) => {
      if (state === 'destroyed') return [];
      if (missing)
        return [
          {
            why: `version ${version} has no material (${missing.why}) since ${missing.since}`,
            next: `claviger keys import-parameters ${key.keyId}, or keys schedule-deletion`,
          },
        ];
      const kept = (custody === 'wrapped' && kekId !== undefined) || (custody === 'token' && token !== undefined);
      return kept ? [] : [{ why: `of version ${version} it is not known what protects it`, next: `claviger keys describe ${key.keyId}` }];
    }),
  'key-not-exportable': (key) =>
    key.exportable
      ? [
          {
            why: 'it was made to leave Claviger, where nobody here sees who has it',
            next: `make one that is not exportable in its place, or say in a statement why it must be`,
          },
        ]
      : [],
  'key-generated-here': (key) =>
    key.origin === 'external'
      ? [
          {
            why: 'its material was made elsewhere and imported',
            next: 'a statement of how it was made, or a key that is made here in its place',
          },
        ]
      : [],
  'key-consumers-few': (key, { most }) =>
    key.consumers.length > most
      ? [
          {
            why: `${key.consumers.length} principals may use it, and ${most} are the most`,
            next: `claviger keys set-consumers ${key.keyId} --consumer … --reason …`,
          },
        ]
      : [],
  'key-floor': (key, _, { profiles = [], tokens, nowMs }) => {
    const floor = floorOf(profiles, key);
    const ofTokens = tokens ? moduleShortfalls(tokensOf(key.versions, tokens.roots), tokens.records, floor, nowMs) : [];
    const missing = missingNotes(key, floor);
    return [
      ...[...shortfalls(key, floor), ...ofTokens].map(({ profile, why }) => ({
        why: `profile ${profile}: ${why}`,
        next: `claviger keys inventory --non-compliant`,
      })),
      ...(missing.length > 0 ? [{ why: `its profile asks for a ${missing.join(', a ')}`, next: say(key, missing) }] : []),
    ];
  },
  // Told when all keys were seen: `EnvironmentsApart`.
  'key-environments-apart': () => [],
};

/** What is wrong with a key; a destroyed one protects nothing that could be at risk. */
export const problemsOf = (key: KeyDescription, check: KeyCheck, known: KnownOfKeys): KeyProblem[] =>
  (table[check.check] as (key: KeyDescription, check: KeyCheck, known: KnownOfKeys) => KeyProblem[])(key, check, known);

export const isDestroyed = (key: KeyDescription): boolean => key.versions.every(({ state }) => state === 'destroyed');
