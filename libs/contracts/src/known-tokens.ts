import { z } from 'zod';
import { TokenLabel } from './further-tokens';
import { printable } from './primitives';

/** Security levels of FIPS 140-3 §4 (ISO/IEC 19790 §5), as of FIPS 140-2 before it. */
export const ModuleLevel = z.union([z.literal(1), z.literal(2), z.literal(3), z.literal(4)]);
export type ModuleLevel = z.infer<typeof ModuleLevel>;

/** A version of firmware, as the vendor and the certificate write it. */
const Firmware = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/, 'a version of firmware is 1 to 32 of A-Z, a-z, 0-9, . _ and -');

const certified = {
  /** Its number, by which whoever issued it finds it. */
  certificate: printable(64),
  /** What a profile's `moduleLevel` is compared with. */
  level: ModuleLevel,
  /** The versions that it covers: another one is not validated. */
  firmware: z.array(Firmware).min(1).max(32),
  /** The last day on which it counts, UTC. */
  validUntil: z.iso.date(),
  /** As the list of whoever issued it says. `historical`: not for new keys any more (CMVP). */
  status: z.enum(['active', 'historical', 'revoked']),
};
/** From the next day on CMVP calls every validation by FIPS 140-2 historical. */
export const fips1402Until = '2026-09-21';

/** What somebody has certified of a cryptographic module. */
export const Validation = z.discriminatedUnion('standard', [
  z.strictObject({ standard: z.literal('FIPS 140-3'), ...certified }),
  z
    .strictObject({ standard: z.literal('FIPS 140-2'), ...certified })
    .refine(({ validUntil }) => validUntil <= fips1402Until, `no validation by FIPS 140-2 is active after ${fips1402Until} (CMVP)`),
  /** ISO/IEC 15408. `level` is the one that you hold it equal to: there is no table. */
  z.strictObject({
    ...{ standard: z.literal('Common Criteria'), ...certified },
    evaluation: z.string().regex(/^EAL[1-7]\+?$/, 'an evaluation assurance level is EAL1 to EAL7, with a + when augmented'),
  }),
  z.strictObject({ standard: z.literal('none') }),
]);
export type Validation = z.infer<typeof Validation>;

/** What security officers know of a token: data of the policy bundle. */
export const KnownToken = z.strictObject({
  /** As workers name it: HSM_TOKEN_LABEL, or an entry of FURTHER_TOKENS_FILE. */
  label: TokenLabel,
  vendor: printable(128),
  /** As CK_TOKEN_INFO.model says it (PKCS#11 v3.1 §3.2): compared with it. */
  model: printable(64),
  /** What runs in it. Compared with what the token says as far as that goes: `7.8` of `7.8.1`. */
  firmware: Firmware,
  /** CK_TOKEN_INFO.serialNumber; compared where it is given. */
  serialNumber: printable(16).optional(),
  /** Whom to reach at the vendor when something is wrong with it. */
  contact: printable(256),
  /** What was agreed with the vendor for an incident, and within how many hours either tells the other. */
  incidents: z.strictObject({ terms: printable(1_000), notifyWithinHours: z.int().min(1).max(8_760) }),
  validation: Validation,
});
export type KnownToken = z.infer<typeof KnownToken>;

/**
 * Whether a token counts as validated. `not-covered`: not with the firmware that runs in it. `none`: nobody has validated it. `unknown`: no record says
 * anything of it.
 */
export const ValidationState = z.enum(['active', 'expired', 'historical', 'revoked', 'not-covered', 'none', 'unknown']);
export type ValidationState = z.infer<typeof ValidationState>;
