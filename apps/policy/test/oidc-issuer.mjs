// A real OpenID provider (oidc-provider) on a free port of 127.0.0.1, for oidc.spec.ts: JWT access tokens (RFC 9068) by client credentials.
// Arguments: port (0: a free one). The JWKS is read from JWKS, so that a restarted issuer has the same keys.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const jwks = JSON.parse(process.env.JWKS);
const server = createServer();
server.listen(Number(process.argv[2]), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const client = (client_id) => ({
    client_id,
    client_secret: `${client_id}-secret`,
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
    id_token_signed_response_alg: 'ES256',
  });
  const provider = new Provider(issuer, {
    clients: ['olga', 'stranger', 'shut-out'].map(client),
    jwks,
    extraTokenClaims: (_context, token) => (token.aud === 'claviger-mfa' ? { amr: ['pwd', 'mfa'] } : { amr: ['pwd'] }),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:claviger',
        getResourceServerInfo: (_context, resource) => ({
          scope: 'use',
          audience: resource.replace('urn:', ''),
          accessTokenTTL: 120,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });
  server.on('request', provider.callback());
  console.log(`issuer ${issuer}`);
});
