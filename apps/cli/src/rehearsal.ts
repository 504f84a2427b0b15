import type { RecoveryGroup } from '@claviger/contracts';
import { openRecoveryGroup, type RecoveryShare, readPin, Token } from '@claviger/hsm';
import { withScratchToken } from '@claviger/installation';

export interface Rehearsal {
  family: Token['family'];
  milliseconds: number;
}

/**
 * That these shares open the group's private half: it decrypts what was encrypted to the public key, in a token of which nothing is left. `existing`: a
 * token that is there, in which it is a session object for a moment. @throws HsmError
 */
export async function rehearseRecovery(
  group: RecoveryGroup,
  shares: readonly RecoveryShare[],
  { libraryPath, existing }: { libraryPath: string; existing?: { tokenLabel: string; pinFile: string } },
): Promise<Rehearsal> {
  const started = performance.now();
  const rehearse = (token: Token): Rehearsal => {
    token.destroyObject(openRecoveryGroup(token, group, shares));
    return { family: token.family, milliseconds: Math.round(performance.now() - started) };
  };
  if (!existing) return withScratchToken(libraryPath, rehearse);
  const token = Token.open({ libraryPath, tokenLabel: existing.tokenLabel, pin: readPin(existing.pinFile) });
  try {
    return rehearse(token);
  } finally {
    token.close();
  }
}
