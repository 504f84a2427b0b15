import { z } from 'zod';

/** Key states of NIST SP 800-57 Part 1 rev. 5 §7. */
export const KeyState = z.enum(['pre-activation', 'active', 'suspended', 'deactivated', 'compromised', 'destroyed']);
export type KeyState = z.infer<typeof KeyState>;

/**
 * SP 800-57 Part 1 §7: *protect* = encrypt, sign, generate a data key; *process* = decrypt, verify; *rescue* = re-encrypt what it protected under another
 * key or version, without showing it to anybody: all that a compromised key is still good for.
 */
export type KeyUse = 'protect' | 'process' | 'rescue';

/** The one table of what a version in each state may be used for, and where it may go next (SP 800-57 Part 1 rev. 5, figure 3). */
export const keyStates: Readonly<Record<KeyState, { uses: readonly KeyUse[]; next: readonly KeyState[] }>> = {
  'pre-activation': { uses: [], next: ['active', 'compromised', 'destroyed'] },
  active: { uses: ['protect', 'process', 'rescue'], next: ['suspended', 'deactivated', 'compromised'] },
  suspended: { uses: ['process', 'rescue'], next: ['active', 'deactivated', 'compromised', 'destroyed'] },
  deactivated: { uses: ['process', 'rescue'], next: ['compromised', 'destroyed'] },
  compromised: { uses: ['rescue'], next: ['destroyed'] },
  destroyed: { uses: [], next: [] },
};
