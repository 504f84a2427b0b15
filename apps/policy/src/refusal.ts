/** Why a connection was not admitted: the closed table of reasons, as the ledger names them. The caller hears none of it. */
export const refusalReasons = {
  'malformed-request': 'the broker asked something that cannot be read',
  'session-malformed': 'the connection name is no fresh session id',
  'session-reused': 'the session id was claimed before',
  'no-credentials': 'neither a token nor a verified certificate',
  'credentials-unsupported': 'a kind of credentials that is not taken',
  'token-malformed': 'not a JWT, or larger than any that is taken',
  'token-type': 'neither a Claviger token nor a JWT of a known issuer',
  'token-signature': 'the signature does not hold',
  'token-claims': 'a claim is missing or wrong',
  'token-expired': 'the token is expired',
  'token-lifetime': 'the token lives longer than tokens may, or was issued in the future',
  'login-revoked': 'what it was authenticated with was revoked',
  'login-too-old': 'the authentication behind it is older than one may be',
  'login-forgotten': 'the authentication behind it is from before the sessions bucket was put right',
  'token-replayed': 'a token that admits once has admitted somebody before',
  'trust-domain': 'the SPIFFE id is of a trust domain that whoever vouches for it does not speak for',
  'issuer-unreachable': "the issuer's keys cannot be fetched and none are cached",
  'certificate-unreadable': 'the certificate cannot be read, names several SPIFFE ids, or is one that signs others',
  'certificate-expired': 'the certificate, or one above it, has ended',
  'identity-unknown': 'no principal has this identity',
  'identity-ambiguous': 'what was shown (a certificate, or the claims of a token) belongs to several principals',
  'principal-unknown': 'no such principal',
  'principal-disabled': 'the principal is disabled',
  'state-stale': 'policy or sessions are not known to be current',
  'not-recorded': 'the admission could not be recorded durably',
  overloaded: 'too many connections are being admitted',
  failed: 'admission failed; the log has the cause',
} as const;
export type RefusalReason = keyof typeof refusalReasons;

/** An attempt that ends here. `principal` is set once it is proven who asks. */
export class Refused extends Error {
  constructor(
    readonly reason: RefusalReason,
    readonly principal?: string,
    options?: { cause?: unknown },
  ) {
    super(`${reason}: ${refusalReasons[reason]}`, options);
    this.name = 'Refused';
  }
}
