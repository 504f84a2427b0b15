import { authored, parsePolicies } from '@claviger/authz';
import type { PolicyBundle } from '@claviger/contracts';

/** One thing in which a bundle that runs is not what is committed. */
export interface Drift {
  /** `policies`, `principals`, `roles`, … */
  readonly part: string;
  /** Its @id, id or name; absent where the part as a whole differs. */
  readonly id?: string;
  readonly how: 'only runs' | 'only committed' | 'differs';
  /** Fields that differ. */
  readonly fields?: readonly string[];
}

/** What changes with each publication, and says nothing. */
const passing = new Set(['format', 'revision', 'publishedAt', 'policies']);

/** Policies by @id, everything else by id; the order in which things stand does not matter, revisions neither. What was asked for and approved is no drift. */
export function driftOf(inForce: PolicyBundle, committed: PolicyBundle): Drift[] {
  const running = authored(inForce);
  const parts = [...new Set([...Object.keys(running), ...Object.keys(committed)])].filter((part) => !passing.has(part)).sort();
  const at = (bundle: PolicyBundle, part: string) => (bundle as unknown as Record<string, unknown>)[part];
  return [
    ...compared('policies', policiesOf(running), policiesOf(committed)),
    ...parts.flatMap((part) => {
      const [is, was] = [at(running, part), at(committed, part)];
      if ([is, was].every((value) => value === undefined || Array.isArray(value))) return compared(part, byId(is), byId(was));
      return text(is) === text(was) ? [] : [{ part, how: 'differs' as const }];
    }),
  ];
}

type Things = ReadonlyMap<string, Readonly<Record<string, unknown>>>;

function compared(part: string, running: Things, committed: Things): Drift[] {
  const ids = [...new Set([...running.keys(), ...committed.keys()])].sort();
  return ids.flatMap((id): Drift[] => {
    const [is, was] = [running.get(id), committed.get(id)];
    if (!is || !was) return [{ part, id, how: is ? 'only runs' : 'only committed' }];
    const fields = [...new Set([...Object.keys(is), ...Object.keys(was)])].filter(
      (field) => field !== 'revision' && text(is[field]) !== text(was[field]),
    );
    return fields.length === 0 ? [] : [{ part, id, how: 'differs', fields: fields.sort() }];
  });
}

function policiesOf({ policies }: PolicyBundle): Things {
  const parsed = parsePolicies(policies);
  if (!parsed.ok) return new Map([['(unreadable)', { text: policies }]]);
  return new Map(parsed.policies.map(({ id, json }) => [id, json as unknown as Record<string, unknown>]));
}

const byId = (things: unknown): Things =>
  new Map(((things ?? []) as Record<string, unknown>[]).map((thing) => [nameOfThing(thing), thing] as const));

/** What a thing of a bundle is told by: id, `tenant/id` or label; one without any by what it says. */
export function nameOfThing(thing: unknown): string {
  const { id, label, tenant } = (thing ?? {}) as { id?: string; label?: string; tenant?: string };
  return id === undefined ? (label ?? text(thing)) : tenant === undefined ? id : `${tenant}/${id}`;
}

/** The same for the same content, in whatever order its fields stand. */
const text = (value: unknown): string =>
  JSON.stringify(value, (_name, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  ) ?? '';
