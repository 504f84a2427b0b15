import { PolicyBundle, unpacked } from '@claviger/contracts';
import type { BundleIssue } from './bundle-issue';
import { checkReferences } from './check-references';
import { compilePolicies } from './compiled-policies';
import { parsePolicies } from './policy-set';
import { separationIssues } from './separation';

export type Shaped = { ok: true; bundle: PolicyBundle } | { ok: false; issues: BundleIssue[] };

/** The document's own shape: fields, patterns, bounds. It may be packed. */
export function shapeOf(input: unknown): Shaped {
  let document: unknown;
  try {
    document = unpacked(input);
  } catch (error) {
    return { ok: false, issues: [{ where: 'bundle', message: (error as Error).message }] };
  }
  const shaped = PolicyBundle.safeParse(document);
  if (shaped.success) return { ok: true, bundle: shaped.data };
  return { ok: false, issues: shaped.error.issues.map(({ path, message }) => ({ where: path.join('.') || 'bundle', message })) };
}

/**
 * Everything that is wrong with a bundle, for its author; empty when it can be put in force. One that was published before an action came is no longer good
 * as a new one, and stays in force all the same (`Evaluator.load`). Separation of duties is checked
 * here alone, over all principals: nothing comes into force past this. Changes nothing that is in force. Cedar's answer
 * for 50 policies takes some tens of milliseconds, synchronously. Throws only when Cedar itself is unusable.
 */
export function validateBundle(input: unknown): BundleIssue[] {
  const shaped = shapeOf(input);
  if (!shaped.ok) return shaped.issues;
  const compilation = compilePolicies(shaped.bundle, 'claviger.validate', 'new');
  const parsed = compilation.ok ? [...compilation.compiled.policies.values()] : policiesIfReadable(shaped.bundle);
  return [...(compilation.ok ? [] : compilation.issues), ...checkReferences(shaped.bundle, parsed), ...separationIssues(shaped.bundle)];
}

function policiesIfReadable(bundle: PolicyBundle) {
  const parsed = parsePolicies(bundle.policies);
  return parsed.ok ? parsed.policies : [];
}
