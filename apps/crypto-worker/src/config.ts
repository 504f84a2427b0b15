import { Region } from '@claviger/contracts';
import { commonConfiguration, tokenConfiguration } from '@claviger/operability';
import { z } from 'zod';

export const Config = z.object({
  ...commonConfiguration,
  ...tokenConfiguration,
  /** Unwrapped keys held in the token as session objects. */
  UNWRAPPED_KEYS_MAX: z.coerce.number('must be a whole number').int().min(1).max(100_000).default(10_000),
  /** Records of keys held whole, beside KEKs and restricted keys; of the others the worker knows that there are such, and reads them when they are used. */
  KEYS_HELD_MAX: z.coerce.number('must be a whole number').int().min(5_000).max(10_000_000).default(20_000),
  UNWRAPPED_KEY_SECONDS: z.coerce.number('must be a whole number').int().min(1).max(86_400).default(3_600),
  /** Where the token is: `far` behind a network, so that its calls leave the event loop and run on HSM_SESSIONS sessions at once. */
  HSM_DISTANCE: z.enum(['near', 'far']).default('near'),
  HSM_SESSIONS: z.coerce.number('must be a whole number').int().min(1).max(256).default(16),
  /** After so long a call that a far token has not answered is given up. Clients wait 2.5 s before they ask again. */
  HSM_ANSWER_SECONDS: z.coerce.number('must be a whole number').int().min(1).max(60).default(2),
  /** Where this worker and its tokens are; keys that may be in certain regions only are used where it is one of them. */
  SITE_REGION: Region.optional(),
  /** JSON file: an array of { label, library, pinFile }, tokens for algorithms that the first one lacks. */
  FURTHER_TOKENS_FILE: z.string().optional(),
  /** So many failures of the token within so many seconds, and requests are refused until it passes a probe. */
  HSM_BREAKER_FAILURES: z.coerce.number('must be a whole number').int().min(1).max(1_000).default(5),
  HSM_BREAKER_WINDOW_SECONDS: z.coerce.number('must be a whole number').int().min(1).max(3_600).default(10),
  HSM_PROBE_SECONDS: z.coerce.number('must be a whole number').int().min(1).max(600).default(2),
  REQUESTS_IN_FLIGHT_MAX: z.coerce.number('must be a whole number').int().min(1).max(100_000).default(4_096),
});
export type Config = z.output<typeof Config>;
