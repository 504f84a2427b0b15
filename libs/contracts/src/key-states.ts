import { z } from 'zod';

/** Key states of NIST SP 800-57 Part 1 rev. 5 §7. */
export const KeyState = z.enum(['pre-activation', 'active', 'suspended', 'deactivated', 'compromised', 'destroyed']);
export type KeyState = z.infer<typeof KeyState>;

/** SP 800-57 Part 1 §7: *protect* = encrypt, sign, generate a data key; *process* = decrypt, verify. */
export type KeyUse = 'protect' | 'process';

/** The one table of what a version in each state may be used for, and where it may go next (SP 800-57 Part 1 rev. 5, figure 3). */
export const keyStates: Readonly<Record<KeyState, { uses: readonly KeyUse[]; next: readonly KeyState[] }>> = {
  'pre-activation': { uses: [], next: ['active', 'compromised', 'destroyed'] },
  active: { uses: ['protect', 'process'], next: ['suspended', 'deactivated', 'compromised'] },
  suspended: { uses: ['process'], next: ['active', 'deactivated', 'compromised', 'destroyed'] },
  deactivated: { uses: ['process'], next: ['compromised', 'destroyed'] },
  compromised: { uses: [], next: ['destroyed'] },
  destroyed: { uses: [], next: [] },
};
