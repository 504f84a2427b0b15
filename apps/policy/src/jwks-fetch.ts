import { readFileSync } from 'node:fs';
import { request as plain } from 'node:http';
import { request as secure } from 'node:https';
import type { JSONWebKeySet } from 'jose';
import { z } from 'zod';
import type { OidcIssuer } from './oidc-config';

const waitMs = 2_000;
const bytesMax = 262_144;
const keysMax = 100;

const KeySet = z.object({ keys: z.array(z.looseObject({ kty: z.string(), use: z.string().optional() })).max(keysMax) });

/** The issuer's keys as they are now: bounded in time and size, no redirects, with its own authorities and bearer token where it has them. Throws. */
export async function fetchKeys(
  issuer: Pick<OidcIssuer, 'jwksUri' | 'jwksCaFile' | 'jwksTokenFile' | 'trustDomain'>,
): Promise<JSONWebKeySet> {
  const { keys } = KeySet.parse(JSON.parse(await get(issuer)));
  return { keys: issuer.trustDomain === undefined ? keys : svidKeys(keys) } as JSONWebKeySet;
}

type Keys = z.output<typeof KeySet>['keys'];

/** SPIFFE Trust Domain and Bundle §4.2.2: keys for JWT-SVIDs say so, those for X.509-SVIDs are for something else. A plain JWK set says neither. */
const svidKeys = (keys: Keys): Keys =>
  keys
    .filter(({ use }) => use !== 'x509-svid')
    .map(({ use, ...key }) => (use === 'jwt-svid' ? key : { ...key, ...(use === undefined ? {} : { use }) }));

function get({ jwksUri, jwksCaFile, jwksTokenFile }: Pick<OidcIssuer, 'jwksUri' | 'jwksCaFile' | 'jwksTokenFile'>): Promise<string> {
  const url = new URL(jwksUri);
  const headers = {
    accept: 'application/json',
    ...(jwksTokenFile === undefined ? {} : { authorization: `Bearer ${readFileSync(jwksTokenFile, 'utf8').trim()}` }),
  };
  const signal = AbortSignal.timeout(waitMs);
  return new Promise((resolve, reject) => {
    const asked =
      url.protocol === 'https:'
        ? secure(url, { headers, signal, ...(jwksCaFile === undefined ? {} : { ca: readFileSync(jwksCaFile) }) })
        : plain(url, { headers, signal });
    asked.on('error', reject);
    asked.on('response', (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('error', reject);
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > bytesMax) asked.destroy(new Error(`more than ${bytesMax} bytes`));
        else chunks.push(chunk);
      });
      response.on('end', () => {
        if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString('utf8'));
        else reject(new Error(`status ${response.statusCode}`));
      });
    });
    asked.end();
  });
}
