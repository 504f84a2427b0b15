import {
  type Classification,
  type Environment,
  type KekDescription,
  type KekMaterial,
  type KekView,
  ProblemError,
  type WrappingKeyState,
} from '@claviger/contracts';

/**
 * A key-encryption key as it is stored. Of one environment and classification there are generations: the newest that is active wraps what is new, one
 * that is retiring still opens what is not rewrapped yet, and of one that is destroyed only the record is left. Times are RFC 3339, UTC.
 */
export interface Kek {
  kekId: string;
  environment: Environment;
  classification: Classification;
  revision: number;
  state: WrappingKeyState;
  /** Absent of those that were stored before there were generations. */
  createdAt?: string;
  retiredAt?: string;
  destroyedAt?: string;
  /** Gone once destroyed. */
  material?: KekMaterial;
  /** The job that put it under another root, until workers and ledger were told. */
  rewrappedBy?: string;
}
/** One that still opens what it wrapped. */
export type LivingKek = Kek & { material: KekMaterial };
export type Pair = Pick<Kek, 'environment' | 'classification'>;

/** What was stored before KEKs had states and times. */
export type EarlierKek = Omit<Kek, 'state'> & { state?: WrappingKeyState };
export const kekAsNow = (stored: Kek | EarlierKek): Kek => ({ ...stored, state: stored.state ?? 'active' });

export const kekIdOf = ({ environment, classification }: Pair, generation: number): string =>
  `kek_${environment}_${classification}_${generation}`;
export const generationOf = (kekId: string): number => Number(kekId.slice(kekId.lastIndexOf('_') + 1));

export const isLiving = (kek: Kek): kek is LivingKek => kek.state !== 'destroyed' && kek.material !== undefined;

/** The newest that is active, of one environment and classification. */
export const currentKek = (keks: readonly Kek[]): LivingKek | undefined =>
  keks
    .filter(isLiving)
    .filter(({ state }) => state === 'active')
    .sort((a, b) => generationOf(b.kekId) - generationOf(a.kekId))[0];

/** Generations are never used twice, also not that of a KEK that is destroyed. */
export const nextGeneration = (keks: readonly Kek[]): number => 1 + Math.max(0, ...keks.map(({ kekId }) => generationOf(kekId)));

export const newKek = (pair: Pair, generation: number, material: KekMaterial, now: string): LivingKek => ({
  ...{ kekId: kekIdOf(pair, generation), environment: pair.environment, classification: pair.classification },
  ...{ revision: 1, state: 'active', createdAt: now, material },
});

/** Whether what was wrapped under it may still be stored, as it is now: not one that was retired since, since it may be destroyed by the time of the write. */
export const isUsableStill = (now: Kek | undefined, before: Kek | undefined): boolean =>
  now !== undefined && isLiving(now) && (now.state === 'active' || now.state === before?.state);

/** Nothing new is wrapped under it. */
export const retireKek = (kek: Kek, now: string): Kek =>
  kek.state === 'active' ? { ...kek, revision: kek.revision + 1, state: 'retiring', retiredAt: now } : kek;

/** Only one that is retiring: what is current wraps keys that nobody has listed yet. */
export function destroyKek(kek: Kek, now: string): Kek {
  if (kek.state === 'destroyed') return kek;
  if (kek.state !== 'retiring') throw new ProblemError('ERR_KEY_STATE', `${kek.kekId} is ${kek.state}, not retiring.`);
  const { material: _, ...rest } = kek;
  return { ...rest, revision: kek.revision + 1, state: 'destroyed', destroyedAt: now };
}

/** The same key under another root. */
export const rewrappedKek = (kek: LivingKek, material: KekMaterial, jobId: string): LivingKek => ({
  ...{ ...kek, revision: kek.revision + 1, material, rewrappedBy: jobId },
});

/** They were. To the workers it is as it was, so its revision stays. */
export const toldKek = ({ rewrappedBy: _, ...kek }: Kek): Kek => kek;

/** What the workers get. An active one looks as it did before there were states, so that workers of that time can read it. */
export const viewKek = ({ kekId, environment, classification, revision, state, material }: Kek): KekView => ({
  ...{ kind: 'kek', id: kekId, kekId, environment, classification, revision },
  ...(state === 'active' ? {} : { state }),
  ...(material ? { material } : {}),
});

/** What may leave this service towards people. */
export const describeKek = ({ kekId, environment, classification, revision, state, material, ...times }: Kek): KekDescription => ({
  ...{ kekId, environment, classification, revision, state },
  ...(material
    ? { rootLabel: material.rootLabel, ...(material.token === undefined ? {} : { token: material.token }), family: material.family }
    : {}),
  ...(times.createdAt ? { createdAt: times.createdAt } : {}),
  ...(times.retiredAt ? { retiredAt: times.retiredAt } : {}),
  ...(times.destroyedAt ? { destroyedAt: times.destroyedAt } : {}),
});
