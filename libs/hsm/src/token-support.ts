import { type Algorithm, type Custody, custodiesOf, families, isRsa, type KeyUsage, rowOf, type TokenFamily, usagesOf } from './algorithms';
import { type MechanismName, mechanismNameOf, mechanisms } from './mechanisms';
import { isMessageScheme, schemesOf, signatureSchemes } from './signature-schemes';

/** How tokens of a family do an algorithm. */
export interface TokenSupport {
  readonly custodies: readonly Custody[];
  readonly generate: MechanismName;
  /** By usage; one that it has not is not there. */
  readonly mechanisms: Readonly<Partial<Record<KeyUsage, readonly MechanismName[]>>>;
}

/** The release of a family that the tests run on. */
export const releaseOf = (family: TokenFamily): string | undefined => families[family].release?.name;

/** What the tables say of it, for documentation; undefined for what the family's release has not. */
export function supportOf(algorithm: Algorithm, family: TokenFamily): TokenSupport | undefined {
  if (families[family].release?.without.includes(algorithm)) return undefined;
  return {
    custodies: custodiesOf(algorithm, family),
    generate: named(rowOf(algorithm).generate),
    mechanisms: Object.fromEntries(
      usagesOf(algorithm)
        .map((usage) => [usage, [...new Set(numbersFor(algorithm, usage, family))].map(named)] as const)
        .filter(([, names]) => names.length > 0),
    ),
  };
}

function numbersFor(algorithm: Algorithm, usage: KeyUsage, family: TokenFamily): number[] {
  if (usage === 'wrap') return [families[family].wrap, mechanisms.CKM_AES_KEY_WRAP];
  if (usage === 'agree') return [mechanisms.CKM_ECDH1_DERIVE];
  if (usage === 'encrypt' && isRsa(algorithm)) return families[family].oaepSha256 ? [mechanisms.CKM_RSA_PKCS_OAEP] : [];
  if (usage !== 'sign') return [rowOf(algorithm).operate];
  return schemesOf(algorithm).map((scheme) => (isMessageScheme(scheme) ? rowOf(algorithm).operate : signatureSchemes[scheme].mechanism));
}

function named(mechanism: number): MechanismName {
  const name = mechanismNameOf(mechanism);
  if (!name) throw new Error(`mechanism 0x${mechanism.toString(16)} has no name in the table`);
  return name;
}
