import { basename } from 'node:path';
import { HsmError, type HsmErrorCode, readPin, Token, type TokenOptions } from '@claviger/hsm';
import { ConfigurationError, type CoreConfiguration } from '@claviger/operability';

/** How calls reach it. */
export type TokenReach = Pick<TokenOptions, 'distance' | 'asyncSessions' | 'answerMs'>;
type TokenConfiguration = Pick<CoreConfiguration, 'PKCS11_LIBRARY' | 'HSM_TOKEN_LABEL' | 'HSM_PIN_FILE'>;

const CKR_GENERAL_ERROR = 0x05;
/** Milliseconds before the next attempts. */
const pausesMs = [200, 400, 800, 1_600];

/** The service's token. @throws ConfigurationError naming the variable, never its value, when it is one of these that is wrong; else HsmError */
export async function openToken(config: TokenConfiguration, canary: string, reach: TokenReach = {}): Promise<Token> {
  const { PKCS11_LIBRARY: libraryPath, HSM_TOKEN_LABEL: tokenLabel, HSM_PIN_FILE: pinFile } = config;
  const pin = await naming({ HSM_CONFIGURATION: 'HSM_PIN_FILE: must be a file with a PIN that only its owner can read' }, () =>
    readPin(pinFile),
  );
  return naming(
    {
      HSM_CONFIGURATION: 'PKCS11_LIBRARY: cannot be loaded as a PKCS#11 library',
      HSM_TOKEN_NOT_FOUND: 'HSM_TOKEN_LABEL: the library has no token of this label; check SOFTHSM2_CONF as well',
      HSM_PIN_INCORRECT: 'HSM_PIN_FILE: the token refuses this PIN; it is not tried again, since tokens lock',
      HSM_PIN_LOCKED: 'HSM_PIN_FILE: the PIN is locked; unlock it by hand with the security officer PIN',
    },
    // Without this token there is no service: one that cannot be seen now may be seen in a moment.
    () => patiently(libraryPath, () => Token.open({ libraryPath, tokenLabel, pin, canary, ...reach }), ['HSM_TOKEN_NOT_FOUND']),
  );
}

/**
 * Opens a token, for 3 s again and again while it fails as SoftHSM does when several processes open one at once: CKR_GENERAL_ERROR, or it does not show
 * a token whose files another process is just writing (`also`).
 */
export async function patiently(libraryPath: string, open: () => Token, also: readonly HsmErrorCode[] = []): Promise<Token> {
  // A device that says this of a wrong PIN would lock; SoftHSM counts no attempts.
  const isSoftHsm = /softhsm/i.test(basename(libraryPath));
  for (const pauseMs of pausesMs) {
    try {
      return open();
    } catch (error) {
      if (!(error instanceof HsmError)) throw error;
      // No other return value: what a device says of a wrong PIN may be one that nobody knows.
      const general =
        error.ckr === CKR_GENERAL_ERROR && (error.code === 'HSM_UNAVAILABLE' || (error.code === 'HSM_PIN_UNCERTAIN' && isSoftHsm));
      if (!general && !also.includes(error.code)) throw error;
    }
    // Not all of them again in the same moment.
    await new Promise((resolve) => setTimeout(resolve, pauseMs * (0.5 + Math.random())));
  }
  return open();
}

async function naming<T>(problems: Partial<Record<HsmErrorCode, string>>, open: () => T | Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    const problem = error instanceof HsmError ? problems[error.code] : undefined;
    throw problem === undefined ? error : new ConfigurationError([problem]);
  }
}
