import { createHash } from 'node:crypto';
import type { PersonalValue } from '@claviger/contracts';

/** base64url(SHA-256(salt ‖ address)): what the ledger holds of a client's IP address. Without the salt (16 random bytes) it says nothing. */
export function commitIp(ip: string, salt: Buffer, session: string): PersonalValue {
  const commitment = createHash('sha256').update(salt).update(ip).digest('base64url');
  return { commitment, salt: salt.toString('base64url'), value: ip, what: 'ip', session };
}
