import { limits } from '@claviger/contracts';
import { ClavigerError } from './claviger-error';

export type TokenSource = string | (() => string | Promise<string>);

/**
 * How the caller proves who it is.
 * - `token`: a token that Claviger issued; it renews itself by `access.issue-token` over its own connection (`renew: false` turns that off,
 *   and the source is asked each time). Renewal has a last day, counted from the authentication behind the first token (12 hours unless the
 *   installation says otherwise): from then on the source must give a token of a new one.
 * - `oidcToken`: a JWT of the identity provider; the source is asked for a fresh one before each connection.
 * - `certificate`: the client certificate in `tls`.
 */
export type Credential =
  | { readonly token: TokenSource; readonly renew?: boolean }
  | { readonly oidcToken: TokenSource }
  | { readonly certificate: true };

/** What one connection is opened with, and until when the broker will keep it (Unix milliseconds). */
export interface Pass {
  readonly token?: string;
  readonly expiresAtMs: number;
}

/** Asks Claviger, over a live connection, for a token that follows the one in use. */
export type Renew = () => Promise<string>;

export class Passes {
  private newest: Pass | undefined;
  /** Why the newest was not renewed, when Claviger said so. */
  private refusal: ClavigerError | undefined;

  constructor(
    private readonly credential: Credential,
    private readonly nowMs: () => number = Date.now,
  ) {}

  /** `renew` is given while a connection lives. @throws ClavigerError ERR_AUTHENTICATION when only an expired token is at hand */
  async next(renew: Renew | undefined): Promise<Pass> {
    if ('certificate' in this.credential) return { expiresAtMs: this.latest() };
    if ('oidcToken' in this.credential) return this.usable([await this.read(this.credential.oidcToken)]);
    const { token, renew: mayRenew = true } = this.credential;
    const renewed = renew && mayRenew ? await this.renewed(renew) : undefined;
    const before = this.newest;
    this.newest = renewed ?? this.usable([await this.read(token), ...(before ? [before] : [])]);
    if (this.newest.token !== before?.token) this.refusal = undefined;
    return this.newest;
  }

  /** A renewal that fails is not the end: the source may have something better. */
  private async renewed(renew: Renew): Promise<Pass | undefined> {
    try {
      return this.pass(await renew());
    } catch (error) {
      if (error instanceof ClavigerError && (error.code === 'ERR_AUTHENTICATION' || error.code === 'ERR_SESSION_REVOKED'))
        this.refusal = error;
      return undefined;
    }
  }

  private async read(source: TokenSource): Promise<Pass> {
    try {
      return this.pass((typeof source === 'string' ? source : await source()).trim());
    } catch (cause) {
      throw new ClavigerError('ERR_AUTHENTICATION', { detail: 'The token source failed.', cause });
    }
  }

  /** The one that lasts longest: a constant source is overtaken by what it was renewed to. */
  private usable(passes: Pass[]): Pass {
    const best = passes.reduce((a, b) => (b.expiresAtMs > a.expiresAtMs ? b : a));
    if (best.expiresAtMs > this.nowMs()) return best;
    const { refusal } = this;
    throw new ClavigerError('ERR_AUTHENTICATION', {
      detail: refusal ? `The token has expired and was not renewed. ${refusal.detail}` : 'The token has expired.',
      cause: refusal,
    });
  }

  private pass(token: string): Pass {
    return { token, expiresAtMs: Math.min(expiryMs(token) ?? Number.POSITIVE_INFINITY, this.latest()) };
  }

  /** No session lives longer than this. */
  private latest(): number {
    return this.nowMs() + limits.tokenLifetimeSecondsMax * 1_000;
  }
}

/** The `exp` of a JWT (RFC 7519 §4.1.4). Read, not verified: it is our own token, and only says when to renew. */
function expiryMs(token: string): number | undefined {
  try {
    const { exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as { exp?: unknown };
    return typeof exp === 'number' ? exp * 1_000 : undefined;
  } catch {
    return undefined;
  }
}
