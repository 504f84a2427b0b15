import { z } from 'zod';
import { EncryptionContext } from './primitives';

/** Which encryption contexts a grant of the use of a key is for: `equals` these entries and no others, `includes` at least these. */
export const GrantContext = z
  .strictObject({ equals: EncryptionContext.optional(), includes: EncryptionContext.optional() })
  .refine(({ equals, includes }) => equals !== undefined || includes !== undefined, 'says neither equals nor includes');
export type GrantContext = z.infer<typeof GrantContext>;

/** Actions whose requests carry an encryption context: with others such a grant would never be in force. */
export const contextActions: ReadonlySet<string> = new Set([
  'crypto:Encrypt',
  'crypto:Decrypt',
  'crypto:ReEncryptFrom',
  'crypto:ReEncryptTo',
  'crypto:GenerateDataKey',
  'crypto:GenerateDataKeyPair',
]);
