import { z } from 'zod';
import { keyFields } from './key-description';
import { limits } from './limits';
import { defineOperation } from './operation';
import { Alias, KeyId, KeyRef, ListCursor } from './primitives';

const { reason } = keyFields;

/** `confirmed`, `workers` and `fenced` as those of `Propagation`: confirmed, no request that names the alias is served as before any more. */
export const AliasChange = z.strictObject({
  alias: Alias,
  /** Absent: deleted. */
  keyId: KeyId.optional(),
  /** The key that it pointed to until then; absent when it is new. */
  previousKeyId: KeyId.optional(),
  revision: z.int().min(1),
  confirmed: z.boolean(),
  workers: z.array(z.string()),
  fenced: z.array(z.string()),
});
export type AliasChange = z.infer<typeof AliasChange>;

export const AliasDescription = z.strictObject({ alias: Alias, keyId: KeyId, revision: z.int().min(1) });
export type AliasDescription = z.infer<typeof AliasDescription>;

/** Names of keys: wherever a request names a key, it may name an alias of it. */
export const aliasOperations = {
  setAlias: defineOperation({
    name: 'keys.set-alias',
    action: 'keys:SetAlias',
    summary:
      'Make an alias of the key, or point one that there is to it: a key of the same environment and usage as before. Policy is asked for the key that it points to (or pointed to, where it was deleted) and for the one that it will; another owner asks for keys:SetOwner of the first as well, a lower classification for keys:LowerClassification.',
    retry: 'safe',
    input: { alias: Alias, keyId: KeyRef, reason },
    result: AliasChange,
  }),
  deleteAlias: defineOperation({
    name: 'keys.delete-alias',
    action: 'keys:SetAlias',
    summary: 'The alias names no key any more. The key stays as it is.',
    retry: 'safe',
    input: { alias: Alias, reason },
    result: AliasChange,
  }),
  listAliases: defineOperation({
    name: 'keys.list-aliases',
    action: 'keys:List',
    summary:
      'Aliases of one key, for whoever may describe it, or of every key that the caller may describe, by name; pass `next` to go on.',
    retry: 'safe',
    input: { keyId: KeyRef.optional(), after: ListCursor.optional(), limit: z.int().min(1).max(limits.listPage).default(100) },
    result: z.strictObject({ aliases: z.array(AliasDescription), next: ListCursor.optional() }),
  }),
} as const;
