import { Token } from '@claviger/hsm';
import { createTokens, temporaryFolder } from '@claviger/testing';

export interface OpenedToken {
  readonly token: Token;
  close(): Promise<void>;
}

/** A new, empty SoftHSM token, gone at the end: vectors bring their keys along. */
export async function openFreshToken(): Promise<OpenedToken> {
  const folder = await temporaryFolder('conformance');
  const { libraryPath, env, pins } = await createTokens(folder.path, { labels: ['conformance'] });
  // The library reads it when it is loaded, which is below.
  process.env.SOFTHSM2_CONF = env.SOFTHSM2_CONF;
  const token = Token.open({ libraryPath, tokenLabel: 'conformance', pin: pins.conformance as string });
  token.createCanary();
  return {
    token,
    close: async () => {
      token.close();
      await folder.remove();
    },
  };
}
