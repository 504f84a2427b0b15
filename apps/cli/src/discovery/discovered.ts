/** A key that was found outside Claviger. */
export interface DiscoveredKey {
  /** Where: a path with the number of the entry in it, the label of an object in a token, the ARN of a key. */
  readonly place: string;
  /** Its name at its source, where the place says more: the ARN. */
  readonly id?: string;
  /** `keystore`: something that holds keys and does not show which. */
  readonly kind: 'private' | 'secret' | 'public' | 'certificate' | 'keystore';
  /** Claviger's name of the algorithm where it has one, such as `EC_P256`; else as the source names it, such as `RSA_1024`. Absent where it is not seen. */
  readonly algorithm?: string;
  /** Security strength (SP 800-57 Part 1 rev. 5, table 2); 0 of what is broken or unknown. */
  readonly strengthBits?: number;
  /** What stands between a reader of the place and the key. */
  readonly protection: 'none' | 'password' | 'token' | 'cloud' | 'not needed';
  /** SHA-256 of the SubjectPublicKeyInfo, base64url: by it a copy of a managed key is known. */
  readonly publicKeySha256?: string;
  /** End of a certificate or of imported material, RFC 3339. */
  readonly notAfter?: string;
  /** Ways in which its settings fall short, as its source says it. */
  readonly drift: readonly { readonly why: string; readonly next: string }[];
}
