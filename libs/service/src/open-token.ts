import { HsmError, type HsmErrorCode, readPin, Token, type TokenOptions } from '@claviger/hsm';
import { ConfigurationError, type CoreConfiguration } from '@claviger/operability';

/** How calls reach it. */
export type TokenReach = Pick<TokenOptions, 'distance' | 'asyncSessions' | 'answerMs'>;
type TokenConfiguration = Pick<CoreConfiguration, 'PKCS11_LIBRARY' | 'HSM_TOKEN_LABEL' | 'HSM_PIN_FILE'>;

const CKR_GENERAL_ERROR = 0x05;
/** Milliseconds before the next attempts: SoftHSM fails (CKR_GENERAL_ERROR) when several processes open a token in the same moment. */
const pausesMs = [200, 400, 800, 1_600];

/** The service's token; that failure is tried again for 3 s. @throws ConfigurationError naming the variable, never its value, when it is one of these that is wrong; else HsmError */
export async function openToken(config: TokenConfiguration, canary: string, reach: TokenReach = {}): Promise<Token> {
  const pin = naming({ HSM_CONFIGURATION: 'HSM_PIN_FILE: must be a file with a PIN that only its owner can read' }, () =>
    readPin(config.HSM_PIN_FILE),
  );
  const open = () =>
    naming(
      {
        HSM_CONFIGURATION: 'PKCS11_LIBRARY: cannot be loaded as a PKCS#11 library',
        HSM_TOKEN_NOT_FOUND: 'HSM_TOKEN_LABEL: the library has no token of this label; check SOFTHSM2_CONF as well',
        HSM_PIN_INCORRECT: 'HSM_PIN_FILE: the token refuses this PIN; it is not tried again, since tokens lock',
        HSM_PIN_LOCKED: 'HSM_PIN_FILE: the PIN is locked; unlock it by hand with the security officer PIN',
      },
      () => Token.open({ libraryPath: config.PKCS11_LIBRARY, tokenLabel: config.HSM_TOKEN_LABEL, pin, canary, ...reach }),
    );
  return patiently(open);
}

/** Opens a token, for 3 s again and again while it fails as SoftHSM does when several processes open one at once. */
export async function patiently(open: () => Token): Promise<Token> {
  for (const pauseMs of pausesMs) {
    try {
      return open();
    } catch (error) {
      // No other return value: what a device says of a wrong PIN may be one that nobody knows.
      const code = error instanceof HsmError && error.ckr === CKR_GENERAL_ERROR ? error.code : undefined;
      if (code !== 'HSM_UNAVAILABLE' && code !== 'HSM_PIN_UNCERTAIN') throw error;
    }
    // Not all of them again in the same moment.
    await new Promise((resolve) => setTimeout(resolve, pauseMs * (0.5 + Math.random())));
  }
  return open();
}

function naming<T>(problems: Partial<Record<HsmErrorCode, string>>, open: () => T): T {
  try {
    return open();
  } catch (error) {
    const problem = error instanceof HsmError ? problems[error.code] : undefined;
    throw problem === undefined ? error : new ConfigurationError([problem]);
  }
}
