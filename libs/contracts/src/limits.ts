/** Every bound that a caller or an operator can meet, in one table. Units are in the names. */
export const limits = {
  /** Largest request or reply body. The broker's `max_payload` is twice that: signed documents are longer in base64url, and what is too large is told by a code. */
  messageBytes: 1_048_576,
  /** Largest plaintext of one encrypt, or message of one sign; larger data is sealed with a data key (envelope encryption). */
  plaintextBytes: 65_536,
  /** Largest JWE text of one decrypt: 64 KiB of ciphertext in base64url plus header, IV and tag. */
  ciphertextChars: 98_304,
  /** Longest RSA ciphertext. */
  rsaBytes: 512,
  /** Items of one batch request; all of it must still fit a message. */
  batchItems: 100,
  /** Plaintexts, messages and ciphertexts of one batch together, in characters of base64url. */
  batchChars: 900_000,
  /** Wrapped keys of one request to rewrap them, in characters of base64url. */
  rewrapChars: 600_000,
  /** What is said about the keys of one batch of creations, as JSON: the descriptions that come back say more. */
  createBatchBytes: 400_000,
  /** Longest signature of any scheme. */
  signatureBytes: 8_192,
  /** Shortest and longest data key. */
  dataKeyBytesMin: 16,
  dataKeyBytesMax: 64,
  randomBytes: 1_024,
  /** Largest key of a caller's that is wrapped, such as the PKCS#8 of an RSA-4096 or ML-DSA-87 key. */
  wrappableKeyBytes: 8_192,
  /** Largest ciphertext of a KEM. */
  kemCiphertextBytes: 1_568,
  /** Largest SubjectPublicKeyInfo that a caller gives for a key agreement. */
  publicKeyBytes: 512,
  /** AES-GCM encryptions with random IVs under one key (SP 800-38D §8.3). */
  gcmInvocations: 2 ** 32,
  contextEntries: 16,
  contextKeyChars: 128,
  contextValueChars: 512,
  consumersPerKey: 256,
  tagsPerKey: 32,
  versionsPerKey: 1_000,
  /** All versions of a key as JSON: signed and in base64url they still fit a message. */
  keyVersionsBytes: 600_000,
  /** Changes of state that the description of a key version holds; the ledger has all of them. */
  transitionsPerVersion: 50,
  /** Names of data that one key is registered to open. */
  dataPerKey: 64,
  aliasesPerKey: 50,
  /** Names that were ever given, those of deleted aliases among them: their records stay in the bucket. */
  aliasesTotal: 100_000,
  activationDaysMax: 731,
  /** How long import parameters are good, and how often material may be sent with them that is refused. */
  importParametersHours: 24,
  importTries: 5,
  cryptoperiodDaysMax: 36_500,
  listPage: 500,
  queryPage: 1_000,
  /** Shortest and longest wait before a scheduled deletion happens. */
  deletionWaitDaysMin: 7,
  deletionWaitDaysMax: 90,
  /** A token older than this is refused, whatever its own expiry says. */
  tokenLifetimeSecondsMax: 900,
  /** Two clocks of the system may differ by at most this. */
  clockSkewSeconds: 30,
  /** How long a record may wait for the broker's fsynced acknowledgement before its caller is told ERR_AUDIT_UNAVAILABLE. */
  auditWaitMs: 2_000,
  auditBatchBytes: 512 * 1024,
  auditBatchRecords: 1_000,
  /** A holder of a view writes a probe this often and must see it come back within `viewStaleAfterMs`. */
  viewProbeEveryMs: 500,
  viewStaleAfterMs: 2_000,
} as const;
