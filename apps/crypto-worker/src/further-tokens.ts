import { FurtherTokens } from '@claviger/contracts';
import { canaryLabel, HsmError, type HsmErrorCode, lookAfresh, readPin, type SelfTestReport, selfTest, Token } from '@claviger/hsm';
import { ConfigurationError, readJsonFile } from '@claviger/operability';
import { patiently } from '@claviger/service';
import { type FarReach, reachOf } from './token-reach';

/** Tokens beside the first; none when no file is named. @throws ConfigurationError naming the variable */
export const readFurtherTokens = (file: string | undefined): FurtherTokens =>
  file === undefined ? [] : readJsonFile('FURTHER_TOKENS_FILE', file, FurtherTokens);

/** What is wrong in the file, or in what it names. */
const problems: Partial<Record<HsmErrorCode, string>> = {
  HSM_CONFIGURATION: 'its library cannot be loaded as a PKCS#11 library, or has several tokens of this label',
  HSM_PIN_INCORRECT: 'the token refuses the PIN in its pinFile; it is not tried again, since tokens lock',
  HSM_PIN_LOCKED: 'the PIN is locked; unlock it by hand with the security officer PIN',
};

/**
 * Opens it and tests it. Both are done on the event loop, so another process looks first whether it answers at all.
 * @throws ConfigurationError naming the entry, for what only a change of the file or of the token mends; HsmError: see Token.open and selfTest
 */
export async function openFurtherToken(
  { label, library, pinFile, distance = 'near' }: FurtherTokens[number],
  far: FarReach,
): Promise<{ token: Token; report: SelfTestReport }> {
  const wrong = (problem: string) => new ConfigurationError([`FURTHER_TOKENS_FILE: token ${label}: ${problem}`]);
  let pin: string;
  try {
    pin = readPin(pinFile);
  } catch {
    throw wrong('its pinFile must be a file with a PIN that only its owner can read');
  }
  const look = await lookAfresh(library, label);
  if (look === 'silent') throw new HsmError('HSM_UNAVAILABLE', `Token ${label} does not answer`, { token: label });
  let token: Token | undefined;
  try {
    const options = { libraryPath: library, tokenLabel: label, pin, canary: canaryLabel, seenAfresh: look === 'seen' };
    token = await patiently(library, () => Token.open({ ...options, ...reachOf(distance, far) }));
    return { token, report: selfTest(token) };
  } catch (error) {
    token?.close();
    const problem = error instanceof HsmError ? problems[error.code] : undefined;
    throw problem === undefined ? error : wrong(problem);
  }
}
