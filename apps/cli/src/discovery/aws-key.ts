import { floorOf, shortfalls } from '@claviger/authz';
import { Algorithm, algorithms, Classification, Environment, type KeyProfile } from '@claviger/contracts';
import type { DiscoveredKey } from './discovered';

/** What AWS KMS says of a key, as far as it was allowed to be asked; absent is not known, never "no". */
export interface AwsKey {
  readonly arn: string;
  readonly spec: string;
  readonly state: string;
  readonly origin: string;
  readonly multiRegion: boolean;
  readonly aliases?: readonly string[];
  readonly tags?: Readonly<Record<string, string>>;
  /** Days; 0 of one that is not rotated, `unable` of one that AWS never rotates. */
  readonly rotationDays?: number | 'unable';
  /** RFC 3339: when its deletion comes, and when imported material ends. */
  readonly deletionAt?: string;
  readonly validTo?: string;
  readonly publicKeySha256?: string;
}

/** KeySpec of AWS KMS by our names. SM2 is of China's regions only. */
const specs: Readonly<Record<string, Algorithm>> = {
  SYMMETRIC_DEFAULT: 'AES_256',
  ECC_NIST_P256: 'EC_P256',
  ECC_NIST_P384: 'EC_P384',
  ECC_NIST_P521: 'EC_P521',
  ECC_SECG_P256K1: 'EC_SECP256K1',
  ECC_NIST_EDWARDS25519: 'ED25519',
  HMAC_256: 'HMAC_SHA_256',
  HMAC_384: 'HMAC_SHA_384',
  HMAC_512: 'HMAC_SHA_512',
};
const algorithmOf = (spec: string): Algorithm | undefined => specs[spec] ?? Algorithm.safeParse(spec).data;
const never = 36_500;

/** The tags `environment` and `classification` say which profiles mean it. */
export function discoveredInAws(key: AwsKey, profiles: readonly KeyProfile[]): DiscoveredKey {
  const algorithm = algorithmOf(key.spec);
  return {
    place: key.aliases?.length ? `${key.arn} (${key.aliases.join(', ')})` : key.arn,
    ...(key.aliases?.length ? { id: key.arn } : {}),
    kind: algorithm !== undefined && algorithms[algorithm].pair ? 'private' : 'secret',
    algorithm: algorithm ?? key.spec,
    strengthBits: algorithm === undefined ? strengthOfSpec(key.spec) : algorithms[algorithm].strengthBits,
    protection: 'cloud',
    ...(key.publicKeySha256 ? { publicKeySha256: key.publicKeySha256 } : {}),
    ...(key.validTo ? { notAfter: key.validTo } : {}),
    drift: [...driftOf(key), ...belowFloor(key, algorithm, profiles)],
  };
}

const strengthOfSpec = (spec: string): number => (spec === 'HMAC_224' ? 224 : 0);

function driftOf({ state, origin, multiRegion, rotationDays, deletionAt, aliases }: AwsKey): DiscoveredKey['drift'] {
  return [
    ...(rotationDays === 0 ? [{ why: 'AWS does not rotate it', next: 'aws kms enable-key-rotation --rotation-period-in-days …' }] : []),
    ...(deletionAt === undefined
      ? []
      : [{ why: `it is deleted at ${deletionAt}`, next: 'aws kms cancel-key-deletion, if anything needs it' }]),
    ...(state === 'Disabled' ? [{ why: 'it is disabled, and nothing is decided', next: 'enable it, or schedule its deletion' }] : []),
    ...(state === 'PendingImport' ? [{ why: 'it has no material', next: 'import it, or delete the key' }] : []),
    ...(origin === 'EXTERNAL' ? [{ why: 'its material was made elsewhere: copies may exist', next: 'know where the copies are' }] : []),
    ...(multiRegion ? [{ why: 'it can be replicated to other regions', next: 'see that every region is one where its data may be' }] : []),
    ...(aliases?.length === 0 ? [{ why: 'nothing names it', next: 'aws kms create-alias' }] : []),
  ];
}

function belowFloor(
  { tags, rotationDays }: AwsKey,
  algorithm: Algorithm | undefined,
  profiles: readonly KeyProfile[],
): DiscoveredKey['drift'] {
  if (profiles.length === 0 || tags === undefined) return [];
  const [environment, classification] = [Environment.safeParse(tags.environment).data, Classification.safeParse(tags.classification).data];
  if (environment === undefined || classification === undefined)
    return [{ why: 'its tags environment and classification do not say what it must be', next: 'aws kms tag-resource' }];
  if (algorithm === undefined) return [];
  const days = typeof rotationDays === 'number' && rotationDays > 0 ? rotationDays : undefined;
  const facts = {
    algorithm,
    cryptoperiod: { originatorDays: days ?? never, recipientDays: never },
    ...(days === undefined ? {} : { protectsAtMostDays: days }),
  };
  const { rotateWithinDays, originatorDaysMax, ...floor } = floorOf(profiles, { environment, classification });
  const ofRotation = rotationDays === undefined ? {} : { ...given({ rotateWithinDays }), ...given({ originatorDaysMax }) };
  return shortfalls(facts, { ...floor, ...ofRotation }).map(({ profile, why }) => ({
    why: `profile ${profile}: ${why}`,
    next: 'change it there, or move its users to a key in Claviger',
  }));
}

const given = <T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: NonNullable<T[K]> };
