import { z } from 'zod';
import type { KeyUsage } from './algorithms';
import { limits } from './limits';

const days = z.int().min(1).max(limits.cryptoperiodDaysMax);

/**
 * How long one version of a key is used, in days from its activation (SP 800-57 Part 1 rev. 5 §5.3.4): `originatorDays` to protect,
 * `recipientDays`, which counts from the same day, to process what was protected.
 */
export const Cryptoperiod = z
  .strictObject({ originatorDays: days, recipientDays: days })
  .refine(({ originatorDays, recipientDays }) => recipientDays >= originatorDays, 'what is protected must be processed as long, or longer');
export type Cryptoperiod = z.infer<typeof Cryptoperiod>;

const year = 365;
const upTo = (originatorYears: number, recipientYears: number): Cryptoperiod => ({
  originatorDays: originatorYears * year,
  recipientDays: recipientYears * year,
});

/**
 * The longest cryptoperiods that NIST suggests for each kind of key (SP 800-57 Part 1 rev. 5 §5.3.6, table 1): what a key has unless it was given its own.
 * The public half of a signing key verifies for "several years (depends on key size)": here three more than it signs, as it is for symmetric keys.
 */
export const cryptoperiods: Readonly<Record<KeyUsage, Cryptoperiod>> = {
  /** Symmetric data-encryption key: at most 2 years, and 3 more to decrypt. */
  encrypt: upTo(2, 5),
  /** Symmetric authentication key: at most 2 years, and 3 more to verify. */
  mac: upTo(2, 5),
  /** Private signature key: 1 to 3 years. */
  sign: upTo(3, 6),
  /** Symmetric key-wrapping key: at most 2 years, and 3 more to unwrap. */
  wrap: upTo(2, 5),
  /** Private static key-agreement key: 1 to 2 years. */
  agree: upTo(2, 2),
  /** Public and private key-transport key: 1 to 2 years. */
  encapsulate: upTo(2, 2),
};
