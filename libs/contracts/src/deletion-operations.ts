import { z } from 'zod';
import { keyFields, Propagation } from './key-description';
import { defineOperation } from './operation';
import { KeyId, KeyRef, PrincipalId, Timestamp } from './primitives';

const { target } = keyFields;
/** How whoever holds the data calls it: a table, a bucket, a backup set. */
export const DataName = z.string().regex(/^[a-z0-9][a-z0-9/._:-]{0,127}$/, 'a name of data is 1 to 128 of a-z, 0-9, /, ., _, : and -');

/** When a key was last used, by the ledger: the newest successful operation of a caller with any version of it. */
export const LastUse = z.strictObject({
  /** What was done, such as `crypto:Decrypt`. */
  action: z.string(),
  principal: PrincipalId,
  /** RFC 3339. */
  at: Timestamp,
  version: z.int().min(1).optional(),
  /** Of the leaf in the ledger: `audit.inclusion` proves it under a checkpoint, and `claviger audit verify` reads it with all others. */
  index: z.int().min(0),
});
export type LastUse = z.infer<typeof LastUse>;

/** `unknown`: the ledger has too many records of the key that are no use to look through them all; ask it with a query. */
export const LastUseOfKey = z.strictObject({ keyId: KeyId, known: z.enum(['used', 'never', 'unknown']), use: LastUse.optional() });
export type LastUseOfKey = z.infer<typeof LastUseOfKey>;

/** What must hold before a key is destroyed, and what proves that it was. */
export const deletionOperations = {
  protect: defineOperation({
    name: 'keys.protect',
    action: 'keys:Protect',
    summary: 'No deletion of the key can be scheduled until the protection is lifted.',
    retry: 'safe',
    input: target,
    result: Propagation,
  }),
  unprotect: defineOperation({
    name: 'keys.unprotect',
    action: 'keys:Unprotect',
    summary: 'Lift the protection against deletion.',
    retry: 'safe',
    input: target,
    result: Propagation,
  }),
  registerData: defineOperation({
    name: 'keys.register-data',
    action: 'keys:RegisterData',
    summary:
      'Say that there is data which only this key opens: until then, or until it is unregistered, no deletion can be scheduled, and the key is no orphan.',
    retry: 'safe',
    input: { ...target, data: DataName, until: Timestamp.optional() },
    result: Propagation,
  }),
  unregisterData: defineOperation({
    name: 'keys.unregister-data',
    action: 'keys:RegisterData',
    summary: 'That data is gone, or under another key. By who registered it, or the owner of the key.',
    retry: 'safe',
    input: { ...target, data: DataName },
    result: Propagation,
  }),
  lastUse: defineOperation({
    name: 'keys.last-use',
    action: 'keys:Describe',
    summary: 'When keys were last used, by the ledger. Every one of them must be one that the caller may describe.',
    retry: 'safe',
    input: { keyIds: z.array(KeyRef).min(1).max(100) },
    result: z.strictObject({ keys: z.array(LastUseOfKey) }),
  }),
  certificate: defineOperation({
    name: 'keys.certificate',
    action: 'keys:Describe',
    summary: 'The signed certificate that the material of a key was destroyed; issued once its objects in every token are gone, too.',
    retry: 'safe',
    input: { keyId: KeyRef },
    result: z.strictObject({ keyId: KeyId, issued: z.boolean(), certificate: z.string().optional() }),
  }),
} as const;
