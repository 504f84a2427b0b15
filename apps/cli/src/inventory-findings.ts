import { type Floor, floorOf, missingNotes, moduleShortfalls, type Shortfall, shortfalls, tokensOf } from '@claviger/authz';
import { type Algorithm, algorithms, type KeyDescription, type KeyProfile, type KeyUsage, type KnownToken } from '@claviger/contracts';
import { dayMs, strongFromBits } from './thresholds';

/** One thing about one key that somebody should do something about. */
export interface InventoryFinding {
  readonly check: InventoryCheck;
  readonly keyId: string;
  readonly name: string;
  readonly why: string;
  readonly next: string;
}

/** What is known beside the key. */
export interface Known {
  /** Milliseconds since 1970-01-01 UTC. */
  readonly nowMs: number;
  /** Of the policy bundle in force; absent where the caller may not read it. */
  readonly profiles?: readonly KeyProfile[];
  /** Its records of tokens, and the labels of those that have the roots; absent where the caller may not list tokens, or nobody says which there are. */
  readonly tokens?: { readonly records: readonly KnownToken[]; readonly roots: readonly string[] };
  /** Its principals, and whether each is disabled. */
  readonly principals?: ReadonlyMap<string, { readonly disabled: boolean }>;
}

type Told = Pick<InventoryFinding, 'why' | 'next'>;

/** The one table of what can be found wrong with a key by looking at it. */
const checks = {
  weak: (key, { nowMs }) => {
    const { strengthBits, protectUntil } = algorithms[key.algorithm];
    const ended = protectUntil !== undefined && nowMs >= Date.parse(protectUntil) + dayMs;
    if (!ended && strengthBits >= strongFromBits) return [];
    const until = protectUntil ? `; NIST ${ended ? 'let' : 'lets'} it protect until ${protectUntil}` : '';
    return [{ why: `${key.algorithm} has ${strengthBits} bits of strength${until}`, next: replacement(key) }];
  },
  deprecated: (key) => {
    const { protectUntil, cnsa2 } = algorithms[key.algorithm];
    if (protectUntil === undefined) return [];
    const cnsa = cnsa2 ? '' : ', and CNSA 2.0 does not list it';
    return [{ why: `NIST lets ${key.algorithm} protect until ${protectUntil}${cnsa}`, next: replacement(key) }];
  },
  unowned: (key, { principals }) => {
    const owner = principals?.get(key.owner);
    const found: Told[] = [];
    if (principals && owner === undefined)
      found.push({ why: `its owner ${key.owner} is no principal of the policies in force`, next: handOver(key) });
    if (owner?.disabled) found.push({ why: `its owner ${key.owner} is disabled`, next: handOver(key) });
    if (key.team === undefined) found.push({ why: 'no team answers for it', next: say(key, ['team']) });
    return found;
  },
  'non-compliant': (key, { profiles, tokens, nowMs }) => {
    const floor = floorOf(profiles ?? [], key);
    const missing = missingNotes(key, floor);
    const ofTokens = tokens ? moduleShortfalls(tokensOf(key.versions, tokens.roots), tokens.records, floor, nowMs) : [];
    const below = [...shortfalls(key, floor), ...ofTokens].map(({ what, profile, why }) => ({
      why: `profile ${profile}: ${why}`,
      next: nextFor(what, key, floor),
    }));
    if (missing.length === 0) return below;
    const what = `a ${key.classification} ${key.environment} key`;
    return [...below, { why: `${what} needs a ${missing.join(', a ')}`, next: say(key, missing) }];
  },
  'certification-overdue': (key, { nowMs, profiles }) => {
    const { recertifyEveryDays } = floorOf(profiles ?? [], key);
    if (!recertifyEveryDays) return [];
    const { value: days, profile } = recertifyEveryDays;
    const since = key.certified?.at ?? key.versions.map(({ createdAt }) => createdAt).sort()[0];
    if (since === undefined || Date.parse(since) + days * dayMs > nowMs) return [];
    const last = key.certified ? `certified it last on ${since}` : `never certified it since ${since}`;
    return [
      {
        why: `its owner ${key.owner} ${last}, and profile ${profile} asks for it every ${days} days`,
        next: `its owner: claviger keys certify ${key.keyId} --reason …`,
      },
    ];
  },
  suspended: (key) => {
    // What waits for its deletion is decided already.
    if (!key.suspended || key.deletionAt !== undefined) return [];
    const since = key.versions.flatMap(({ transitions }) => transitions.filter(({ to }) => to === 'suspended')).map(({ at }) => at);
    const when = since.length > 0 ? ` since ${since.sort().at(-1)}` : '';
    const next = `decide: claviger keys resume ${key.keyId} --reason …, or keys schedule-deletion ${key.keyId} --reason …`;
    return [{ why: `it is suspended${when}`, next }];
  },
} as const satisfies Record<string, (key: KeyDescription, known: Known) => Told[]>;

export type InventoryCheck = keyof typeof checks | 'unused';
export const inventoryChecks = Object.keys(checks) as (keyof typeof checks)[];

/** What the named checks find wrong with a key. A destroyed one protects nothing that could be at risk. */
export function findingsOf(key: KeyDescription, wanted: readonly (keyof typeof checks)[], known: Known): InventoryFinding[] {
  if (key.versions.every(({ state }) => state === 'destroyed')) return [];
  const { keyId, name } = key;
  return wanted.flatMap((check) => checks[check](key, known).map((told) => ({ check, keyId, name, ...told })));
}

/** For a key that is older than `days` and that nobody has used in so long. */
export const unusedFinding = ({ keyId, name }: KeyDescription, days: number): InventoryFinding => ({
  ...{ check: 'unused', keyId, name, why: `nobody has used it for ${days} days` },
  next: `ask its owner; then claviger keys suspend ${keyId} --reason …, and after a while keys schedule-deletion`,
});

/** What a key agreement or an RSA decryption becomes after the quantum computer: key encapsulation (FIPS 203). */
const successorUsage: Partial<Record<KeyUsage, KeyUsage>> = { agree: 'encapsulate' };

/** Algorithms that do the same and have no end set; those of CNSA 2.0, where there are such. */
export function successorsOf({ algorithm, usage }: Pick<KeyDescription, 'algorithm' | 'usage'>): Algorithm[] {
  const wanted = algorithms[algorithm].pair && usage === 'encrypt' ? 'encapsulate' : (successorUsage[usage] ?? usage);
  const able = (Object.keys(algorithms) as Algorithm[]).filter(
    (name) => wanted in algorithms[name].usages && algorithms[name].protectUntil === undefined,
  );
  const listed = able.filter((name) => algorithms[name].cnsa2);
  return listed.length > 0 ? listed : able;
}

const replacement = (key: KeyDescription): string =>
  `make a key of ${successorsOf(key).join(' or ')}, move its consumers to it, then claviger keys deactivate ${key.keyId} --reason …`;

function nextFor(what: Shortfall['what'], key: KeyDescription, floor: Floor): string {
  if (what === 'moduleLevel')
    return 'claviger tokens list; a security officer puts the record right (tokens.json), or the token is replaced';
  return what === 'algorithms' || what === 'strengthBitsMin' ? replacement(key) : rotation(key, floor);
}

const rotation = ({ keyId }: KeyDescription, { rotateWithinDays, originatorDaysMax }: Floor): string => {
  const every = rotateWithinDays ? ` --every ${rotateWithinDays.value}d` : '';
  const most = originatorDaysMax ? ` --originator-days ${originatorDaysMax.value} --recipient-days …` : '';
  return `claviger keys set-rotation ${keyId}${every}${most} --reason …`;
};

const handOver = ({ keyId }: KeyDescription): string => `claviger keys set-owner ${keyId} PRINCIPAL --reason …`;

const say = ({ keyId }: KeyDescription, names: readonly string[]): string =>
  `claviger keys update ${keyId} ${names.map((name) => `--${name} …`).join(' ')} --reason …`;
