import { bundleLimits, Grant, Group, groupLimits, PackedError, PolicyBundle, Principal } from '@claviger/contracts';
import type { z } from 'zod';
import type { BundleIssue } from './bundle-issue';
import { checkingReferences } from './check-references';
import { checkingPolicies, type ReadPolicies, readingPolicies } from './read-policies';
import { checkingSeparation } from './separation';
import { atOnce, beside, type Elsewhere, each, opened, type Work } from './steps';

export type Shaped = { ok: true; bundle: PolicyBundle } | { ok: false; issues: BundleIssue[] };

/** The document's own shape: fields, patterns, bounds. It may be packed. */
export const shapeOf = (input: unknown): Shaped => atOnce(shaping(input));

const shapedTogether = 50;

/** The same in steps: long lists are looked at item by item. */
export function* shaping(input: unknown): Work<Shaped> {
  let document: unknown;
  try {
    document = yield* opened(input);
  } catch (error) {
    if (!(error instanceof PackedError)) throw error;
    return { ok: false, issues: [{ where: 'bundle', message: error.message }] };
  }
  yield undefined;
  const found = Object.entries(listed).flatMap(([name, { element, most }]) => {
    const items = (document as Record<string, unknown> | null)?.[name];
    return Array.isArray(items) && items.length > shapedTogether && items.length <= most
      ? [{ name, element, items: items as unknown[] }]
      : [];
  });
  const shaped = PolicyBundle.safeParse(
    found.length === 0 ? document : { ...(document as object), ...Object.fromEntries(found.map(({ name }) => [name, []])) },
  );
  const issues: BundleIssue[] = shaped.success ? [] : issuesOf(shaped.error);
  const bundle = (shaped.data ?? {}) as Record<string, unknown>;
  for (const { name, element, items } of found) {
    const good: unknown[] = [];
    yield* each(items, shapedTogether, (item, index) => {
      const one = element.safeParse(item);
      if (one.success) good.push(one.data);
      else issues.push(...issuesOf(one.error, [name, index]));
    });
    bundle[name] = good;
  }
  return issues.length > 0 ? { ok: false, issues } : { ok: true, bundle: bundle as PolicyBundle };
}

/** What is looked at item by item where there is much of it. */
const listed = {
  principals: { element: Principal, most: bundleLimits.principals },
  grants: { element: Grant, most: bundleLimits.grants },
  groups: { element: Group, most: groupLimits.groups },
} as const;

const issuesOf = ({ issues }: z.ZodError, at: readonly PropertyKey[] = []): BundleIssue[] =>
  issues.map(({ path, message }) => ({ where: [...at, ...path].join('.') || 'bundle', message }));

/**
 * Everything that is wrong with a bundle, for its author; empty when it can be put in force. One that was published before an action came is no longer good
 * as a new one, and stays in force all the same (`Evaluator.load`). Separation of duties is checked
 * here alone, over all principals: nothing comes into force past this. Changes nothing that is in force. Cedar's answer
 * for 50 policies takes some tens of milliseconds, synchronously. Throws only when Cedar itself is unusable.
 */
export const validateBundle = (input: unknown): BundleIssue[] => atOnce(validating(input)).issues;

/** Validates bundle after bundle beside other work. What a bundle has in common with one that was good is not checked again. */
export class BundleValidator {
  #good: ReadPolicies | undefined;

  constructor(
    private readonly elsewhere: Elsewhere,
    /** What is in force, until a bundle was good here. */
    private readonly inForce: () => ReadPolicies | undefined = () => undefined,
  ) {}

  /** As `validateBundle`. Rejects when `elsewhere` does not answer. */
  async validate(input: unknown): Promise<BundleIssue[]> {
    const { issues, read } = await beside(validating(input, this.#good ?? this.inForce()), this.elsewhere);
    if (issues.length === 0) this.#good = read;
    return issues;
  }
}

interface Validated {
  readonly issues: BundleIssue[];
  readonly read?: ReadPolicies;
}

function* validating(input: unknown, previous?: ReadPolicies): Work<Validated> {
  const shaped = yield* shaping(input);
  if (!shaped.ok) return shaped;
  const { bundle } = shaped;
  const reading = yield* readingPolicies(bundle, { age: 'new', previous });
  const read = reading.ok ? reading.read : undefined;
  const wrong = reading.ok ? yield* checkingPolicies(reading.read, previous) : reading.issues;
  const references = yield* checkingReferences(bundle, [...(read?.policies.values() ?? [])]);
  const separation = yield* checkingSeparation(bundle);
  return { issues: [...wrong, ...references, ...separation], ...(read ? { read } : {}) };
}
