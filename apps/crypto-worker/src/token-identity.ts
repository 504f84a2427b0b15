import { ProblemError, type TokenIdentity } from '@claviger/contracts';
import { type Token, tokenFacts } from '@claviger/hsm';

/** Which device it is, as it says itself just now. @throws HsmError HSM_UNAVAILABLE */
export const identityOf = (token: Token): TokenIdentity => {
  const { label, serialNumber, manufacturer, model, firmware } = tokenFacts(token);
  return { label, serialNumber, manufacturer, model, firmware };
};

/** Its serial number; undefined where it does not say. */
export function serialNumberOf(token: Token): string | undefined {
  try {
    return identityOf(token).serialNumber;
  } catch {
    return undefined;
  }
}

/** Before anything of a token is destroyed: another device may have the same label. Throws ERR_CONFLICT. */
export function assertDevice(token: Token, serialNumber: string): void {
  const here = identityOf(token).serialNumber;
  if (here !== serialNumber)
    throw new ProblemError('ERR_CONFLICT', `Token ${token.label} of this worker is device ${here}, and ${serialNumber} is meant.`);
}
