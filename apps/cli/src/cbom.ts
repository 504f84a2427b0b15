import { type Algorithm, algorithms, type KekDescription, type KeyDescription, type KeyUsage } from '@claviger/contracts';
import { cbomAlgorithms, nistQuantumSecurityLevel } from './cbom-algorithms';

/** A `component` of CycloneDX 1.6 (ECMA-424), of type `cryptographic-asset`. */
export interface CbomComponent {
  readonly type: 'cryptographic-asset';
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version?: string;
  readonly description?: string;
  readonly cryptoProperties: object;
  readonly properties?: { name: string; value: string }[];
}

/** What an algorithm is used for, where a key names it. */
export interface UsedAlgorithm {
  readonly algorithm: Algorithm;
  readonly usage: KeyUsage;
}

/** What wraps keys and KEKs in every token that Claviger uses (RFC 5649; docs/algorithms.md). */
export const wrapping: UsedAlgorithm = { algorithm: 'AES_256', usage: 'wrap' };

export const algorithmRef = ({ algorithm, usage }: UsedAlgorithm): string => `algorithm/${algorithm}/${usage}`;

export function algorithmComponent({ algorithm, usage }: UsedAlgorithm, certified: { certificationLevel?: string[] } = {}): CbomComponent {
  const known = cbomAlgorithms[algorithm][usage];
  const { strengthBits, standard } = algorithms[algorithm];
  const quantum = nistQuantumSecurityLevel(algorithm);
  const { name = algorithm, oid, ...properties } = known ?? {};
  return {
    type: 'cryptographic-asset',
    'bom-ref': algorithmRef({ algorithm, usage }),
    name,
    description: standard,
    cryptoProperties: {
      assetType: 'algorithm',
      algorithmProperties: {
        ...properties,
        executionEnvironment: 'hardware',
        ...certified,
        classicalSecurityLevel: strengthBits,
        ...(quantum === undefined ? {} : { nistQuantumSecurityLevel: quantum }),
      },
      ...(oid ? { oid } : {}),
    },
  };
}

/** One for each version: each is material of its own, with a state of its own. The states of CycloneDX are those of SP 800-57, as ours are. */
export const keyComponents = (key: KeyDescription): CbomComponent[] =>
  key.versions.map(({ version, state, createdAt, transitions, custody, kekId, missing }) => {
    const { pair } = algorithms[key.algorithm];
    const size = materialBits(key.algorithm);
    const activationDate = transitions.find(({ to }) => to === 'active')?.at;
    const updateDate = transitions.at(-1)?.at;
    return {
      type: 'cryptographic-asset',
      'bom-ref': `key/${key.keyId}/${version}`,
      name: key.name,
      version: String(version),
      ...(key.description === undefined ? {} : { description: key.description }),
      cryptoProperties: {
        assetType: 'related-crypto-material',
        relatedCryptoMaterialProperties: {
          type: pair ? 'private-key' : 'secret-key',
          id: `${key.keyId}#${version}`,
          state,
          algorithmRef: algorithmRef(key),
          creationDate: createdAt,
          ...(activationDate ? { activationDate } : {}),
          ...(updateDate ? { updateDate } : {}),
          ...(size === undefined ? {} : { size }),
          // Once destroyed, or while its imported material is missing, it is nowhere.
          ...(custody === undefined
            ? {}
            : { securedBy: { mechanism: 'HSM', ...(custody === 'wrapped' ? { algorithmRef: algorithmRef(wrapping) } : {}) } }),
        },
        ...(cbomAlgorithms[key.algorithm][key.usage] ? { oid: cbomAlgorithms[key.algorithm][key.usage]?.oid } : {}),
      },
      properties: about({
        usage: key.usage,
        environment: key.environment,
        classification: key.classification,
        owner: key.owner,
        team: key.team,
        contact: key.contact,
        consumers: key.consumers.join(' ') || undefined,
        primary: String(version === key.primaryVersion),
        suspended: String(key.suspended),
        deletionAt: key.deletionAt,
        origin: key.origin,
        exportable: String(key.exportable),
        material: missing?.why,
        custody,
        kek: kekId,
        ...Object.fromEntries(Object.entries(key.tags).map(([name, value]) => [`tag:${name}`, value])),
      }),
    };
  });

export const kekComponent = ({ kekId, environment, classification, rootLabel, family, state }: KekDescription): CbomComponent => ({
  type: 'cryptographic-asset',
  'bom-ref': kekRef(kekId),
  name: kekId,
  cryptoProperties: {
    assetType: 'related-crypto-material',
    relatedCryptoMaterialProperties: {
      type: 'secret-key',
      id: kekId,
      // One that is retiring opens what it wrapped, and wraps nothing more.
      state: state === 'retiring' ? 'deactivated' : state,
      algorithmRef: algorithmRef(wrapping),
      size: 256,
      securedBy: { mechanism: 'HSM', algorithmRef: algorithmRef(wrapping) },
    },
    oid: cbomAlgorithms[wrapping.algorithm][wrapping.usage]?.oid,
  },
  properties: about({
    usage: 'key-encryption key',
    environment,
    classification,
    ...(rootLabel === undefined ? {} : { root: rootLabel, family }),
  }),
});

const kekRef = (kekId: string): string => `kek/${kekId}`;

/** Of the secret itself. The table has the public half of a post-quantum pair, whose private half a token may keep as a seed: not said. */
function materialBits(algorithm: Algorithm): number | undefined {
  const { pair, protectUntil, keyBits } = algorithms[algorithm];
  return pair && protectUntil === undefined ? undefined : keyBits;
}

const about = (named: Record<string, string | undefined>): { name: string; value: string }[] =>
  Object.entries(named).flatMap(([name, value]) => (value === undefined ? [] : [{ name: `claviger:${name}`, value }]));
