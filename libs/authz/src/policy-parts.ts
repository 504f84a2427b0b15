import { type Action, actionTable } from '@claviger/contracts';
import type { Policy } from './policy-set';

/** Policies that are put to Cedar together. */
export interface Part {
  /** The same for the same policies in the same order, and for no others of this process. */
  readonly content: string;
  readonly policies: readonly Policy[];
}

/** What scopes can tell of a principal. */
export interface Holder {
  readonly id: string;
  readonly roles: readonly string[];
  /** Names, `tenant/id`. */
  readonly groups: readonly string[];
}

/**
 * Characters of policies that Cedar is given at once. It takes about half a millisecond to parse a thousand of them, and nothing else happens meanwhile; a
 * call costs about as much as fifty policies in one.
 */
export const partChars = 8_000;

/** The policies whose scope can match an action, in parts by whom their scope is about. */
export interface Parts {
  readonly all: readonly Part[];
  /** Those that any policy is in whose scope can match this principal. Exact: the scopes of what is left out cannot. */
  of(holder: Holder): readonly Part[];
}

/** `policies` are those whose scope can match the action (action-groups.ts); in parts where they have more than so many characters. */
export function partsFor(action: Action, policies: readonly Policy[], chars: number): Parts {
  const about = policies.filter((policy) => canBeAbout(policy, actionTable[action]));
  const whole = chunks(about, chars);
  if (whole.length <= 1) return { all: whole, of: () => whole };
  const byScope = new Map([...Map.groupBy(about, scopeOf)].map(([scope, some]) => [scope, chunks(some, chars)]));
  return {
    all: [...byScope.values()].flat(),
    of: ({ id, roles, groups }) =>
      [anybody, key('Principal', id), ...roles.map((role) => key('Role', role)), ...groups.map((group) => key('Group', group))].flatMap(
        (scope) => byScope.get(scope) ?? [],
      ),
  };
}

const anybody = '';
const key = (type: string, id: string) => `${type}::${id}`;
const bare = (type: string): string => type.split('::').at(-1) as string;
/** What a principal can be, or be in, as the evaluator says it (cedar-request.ts). */
const known: ReadonlySet<string> = new Set(['Principal', 'Role', 'Group']);

/** Whom the scope is about; anybody, where it does not say or in a form that this version does not know. */
function scopeOf({ json: { principal } }: Policy): string {
  const within = principal.op === 'is' ? ('in' in principal ? principal.in : undefined) : principal;
  const named = within && 'entity' in within ? within.entity : undefined;
  const entity = named && ('__entity' in named ? named.__entity : named);
  return entity && known.has(bare(entity.type)) ? key(bare(entity.type), entity.id) : anybody;
}

/** A resource of another type is refused by the schema, whatever the policies say. */
const canBeAbout = ({ json: { resource } }: Policy, type: string): boolean => resource.op !== 'is' || bare(resource.entity_type) === type;

function chunks(policies: readonly Policy[], most: number): Part[] {
  const parts: Policy[][] = [];
  let chars = 0;
  for (const policy of policies) {
    if (parts.length === 0 || chars + policy.text.length > most) {
      parts.push([]);
      chars = 0;
    }
    parts.at(-1)!.push(policy);
    chars += policy.text.length;
  }
  return parts.map((some) => ({ content: some.map(numberOf).join(' '), policies: some }));
}

const numbers = new WeakMap<Policy, number>();
let count = 0;
function numberOf(policy: Policy): number {
  let number = numbers.get(policy);
  if (number === undefined) {
    number = count++;
    numbers.set(policy, number);
  }
  return number;
}
