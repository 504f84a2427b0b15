import { z } from 'zod';
import { trustDomainPattern } from './spiffe-id';

const loopback = new Set(['127.0.0.1', '[::1]', 'localhost']);
const shortText = z.string().min(1).max(256);

/**
 * `OIDC_ISSUERS_FILE`: who may vouch for callers, each with its own rules. Only asymmetric algorithms: a key set holds public keys (RFC 8725 §3.1).
 */
export const OidcIssuer = z
  .strictObject({
    /** `iss`, compared exactly. Of a SPIFFE trust domain it may be left out, since a JWT-SVID need not have one. */
    issuer: z.url().optional(),
    /** JWT-SVIDs of this trust domain: `sub` is a SPIFFE id in it, and proves to be that identity. */
    trustDomain: z.string().regex(trustDomainPattern, 'must be the name of a trust domain').optional(),
    /** `aud` that a token must name: one of these. */
    audience: z.union([shortText, z.array(shortText).min(1).max(8)]),
    /** Where its keys are: a JWK set (RFC 7517 §5), or a SPIFFE bundle. */
    jwksUri: z.url().refine((url) => {
      const { protocol, hostname } = new URL(url);
      return protocol === 'https:' || (protocol === 'http:' && loopback.has(hostname));
    }, 'must be https'),
    /** PEM file of the authorities that vouch for that server; the public ones when left out. */
    jwksCaFile: z.string().optional(),
    /** File with the bearer token to ask with; read each time, since a projected token changes. */
    jwksTokenFile: z.string().optional(),
    algorithms: z.array(z.enum(['ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512', 'RS256', 'RS384', 'RS512', 'EdDSA'])).min(1),
    /** Keys that could not be fetched anew for so long are believed no more. */
    keysMaxAgeSeconds: z.int().min(60).max(604_800).default(86_400),
    /** What says that the issuer saw more than one factor: values of `amr` (RFC 8176), and of `acr` or `acrs`. */
    mfa: z
      .strictObject({ amr: z.array(shortText).max(16).default(['mfa']), acr: z.array(shortText).max(16).default([]) })
      .default({ amr: ['mfa'], acr: [] }),
    /** A token issued longer ago is refused, whatever its own expiry says. */
    tokenMaxAgeSeconds: z.int().min(10).max(86_400).optional(),
    /** A token admits once: it must have a `jti` (RFC 7519 §4.1.7). */
    oneTime: z.boolean().default(false),
  })
  .refine(({ issuer, trustDomain }) => issuer !== undefined || trustDomain !== undefined, 'names neither an issuer nor a trust domain');
export type OidcIssuer = z.output<typeof OidcIssuer>;

export const OidcIssuers = z
  .array(OidcIssuer)
  .max(64)
  .refine((all) => new Set(all.map(nameOf)).size === all.length, 'two entries are of one issuer');

/** What logs and health call it. */
export const nameOf = ({ issuer, trustDomain }: Pick<OidcIssuer, 'issuer' | 'trustDomain'>): string => issuer ?? `spiffe://${trustDomain}`;
