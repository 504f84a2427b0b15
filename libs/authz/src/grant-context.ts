import type { EncryptionContext, GrantContext } from '@claviger/contracts';

/**
 * Whether a request's encryption context is one that a grant is for: exactly these entries (`equals`), at least these (`includes`), or both. A request
 * without a context has an empty one.
 */
export function satisfiesContext(asked: GrantContext | undefined, context: EncryptionContext = {}): boolean {
  if (asked === undefined) return true;
  const { equals, includes } = asked;
  if (equals && !(sizeOf(equals) === sizeOf(context) && holds(context, equals))) return false;
  return !includes || holds(context, includes);
}

const sizeOf = (entries: EncryptionContext): number => Object.keys(entries).length;
const holds = (context: EncryptionContext, entries: EncryptionContext): boolean =>
  Object.entries(entries).every(([name, value]) => Object.hasOwn(context, name) && context[name] === value);
