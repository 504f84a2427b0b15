import {
  Algorithm,
  algorithms,
  Classification,
  Environment,
  type KeyDescription,
  type KeyProfile,
  SaidOfKey,
  type StrengthBits,
} from '@claviger/contracts';

/** A number, and the profile that asks for it. */
export interface Bound<T = number> {
  readonly value: T;
  readonly profile: string;
}

/** The strictest of all profiles that mean a key, field by field; what nobody asks for is left out. Days where nothing else is said. */
export interface Floor {
  readonly rotateWithinDays?: Bound;
  readonly originatorDaysMax?: Bound;
  readonly strengthBitsMin?: Bound<StrengthBits>;
  /** Of each algorithm that is refused, the first profile that does. */
  readonly refused: ReadonlyMap<Algorithm, string>;
  /** Of the tokens that it is in; compared in module-validation.ts. */
  readonly moduleLevel?: Bound;
  readonly deletionWaitDaysMin?: Bound;
  readonly recertifyEveryDays?: Bound;
  readonly says: readonly SaidOfKey[];
  readonly approvals: { readonly export?: Bound; readonly destroy?: Bound };
}

export type Classified = Pick<KeyDescription, 'environment' | 'classification'>;

/** What of a key is compared with its floor. */
export type KeyFacts = Pick<KeyDescription, 'algorithm' | 'cryptoperiod' | 'protectsAtMostDays'>;

/** One thing in which a key is less than its floor; `what` is the field of the profile. */
export interface Shortfall {
  readonly what: 'rotateWithinDays' | 'originatorDaysMax' | 'strengthBitsMin' | 'algorithms' | 'moduleLevel';
  readonly profile: string;
  readonly why: string;
}

export function floorOf(profiles: readonly KeyProfile[], { environment, classification }: Classified): Floor {
  const meant = profiles.filter(
    ({ environments, classifications }) =>
      (environments?.includes(environment) ?? true) && (classifications?.includes(classification) ?? true),
  );
  const strictest = <T extends number>(of: (profile: KeyProfile) => T | undefined, stricter: (a: T, b: T) => boolean) =>
    meant.reduce<Bound<T> | undefined>((best, profile) => {
      const value = of(profile);
      return value !== undefined && (best === undefined || stricter(value, best.value)) ? { value, profile: profile.id } : best;
    }, undefined);
  const least = <T extends number>(of: (profile: KeyProfile) => T | undefined) => strictest(of, (a, b) => a < b);
  const most = <T extends number>(of: (profile: KeyProfile) => T | undefined) => strictest(of, (a, b) => a > b);
  return {
    ...given(
      'rotateWithinDays',
      least(({ rotateWithinDays }) => rotateWithinDays),
    ),
    ...given(
      'originatorDaysMax',
      least(({ originatorDaysMax }) => originatorDaysMax),
    ),
    ...given(
      'strengthBitsMin',
      most(({ strengthBitsMin }) => strengthBitsMin),
    ),
    ...given(
      'moduleLevel',
      most<number>(({ moduleLevel }) => moduleLevel),
    ),
    ...given(
      'deletionWaitDaysMin',
      most(({ deletionWaitDaysMin }) => deletionWaitDaysMin),
    ),
    ...given(
      'recertifyEveryDays',
      least(({ recertifyEveryDays }) => recertifyEveryDays),
    ),
    refused: refusedBy(meant),
    says: SaidOfKey.options.filter((name) => meant.some(({ says }) => says?.includes(name))),
    approvals: {
      ...given(
        'export',
        most(({ approvals }) => approvals?.export),
      ),
      ...given(
        'destroy',
        most(({ approvals }) => approvals?.destroy),
      ),
    },
  };
}

/** In what the key is less than its floor; empty when in nothing. */
export function shortfalls(key: KeyFacts, floor: Floor): Shortfall[] {
  const { rotateWithinDays, originatorDaysMax, strengthBitsMin, refused } = floor;
  const { algorithm, protectsAtMostDays, cryptoperiod } = key;
  const { strengthBits } = algorithms[algorithm];
  const found: Shortfall[] = [];
  const refusedBy = refused.get(algorithm);
  if (refusedBy !== undefined) found.push({ what: 'algorithms', profile: refusedBy, why: `${algorithm} is not let in` });
  if (strengthBitsMin && strengthBits < strengthBitsMin.value)
    found.push({
      ...{ what: 'strengthBitsMin', profile: strengthBitsMin.profile },
      why: `${strengthBitsMin.value} bits of strength are asked for, and ${algorithm} has ${strengthBits}`,
    });
  if (rotateWithinDays && (protectsAtMostDays === undefined || protectsAtMostDays > rotateWithinDays.value))
    found.push({
      ...{ what: 'rotateWithinDays', profile: rotateWithinDays.profile },
      why: `a rotation at least every ${rotateWithinDays.value} days is asked for, and ${
        protectsAtMostDays === undefined ? 'nothing ends the use of a version' : `a version protects for up to ${protectsAtMostDays}`
      }`,
    });
  if (originatorDaysMax && cryptoperiod.originatorDays > originatorDaysMax.value)
    found.push({
      ...{ what: 'originatorDaysMax', profile: originatorDaysMax.profile },
      why: `an originator usage period of at most ${originatorDaysMax.value} days is asked for, and it has ${cryptoperiod.originatorDays}`,
    });
  return found;
}

/** What is to be said about the key, and is not. */
export const missingNotes = (key: Pick<KeyDescription, SaidOfKey>, { says }: Floor): SaidOfKey[] =>
  says.filter((name) => key[name] === undefined);

/** Environments and classifications in which no key could be made any more. */
export function unsatisfiable(profiles: readonly KeyProfile[]): string[] {
  return Environment.options.flatMap((environment) =>
    Classification.options.flatMap((classification) => {
      const { refused, strengthBitsMin } = floorOf(profiles, { environment, classification });
      const left = Algorithm.options.some((name) => !refused.has(name) && algorithms[name].strengthBits >= (strengthBitsMin?.value ?? 0));
      return left ? [] : [`let in no algorithm for a ${classification} ${environment} key`];
    }),
  );
}

function refusedBy(profiles: readonly KeyProfile[]): Map<Algorithm, string> {
  const refused = new Map<Algorithm, string>();
  for (const { id, algorithms: allowed, algorithmsRefused } of profiles)
    for (const name of Algorithm.options)
      if (!refused.has(name) && (algorithmsRefused?.includes(name) || allowed?.includes(name) === false)) refused.set(name, id);
  return refused;
}

const given = <N extends string, T>(name: N, value: T | undefined) => (value === undefined ? {} : { [name]: value }) as { [K in N]?: T };
