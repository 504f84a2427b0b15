import {
  type BundleIssue,
  type Comparison,
  type CompiledPolicies,
  compilePolicies,
  type Ineffective,
  ineffectivePolicies,
  widenings,
} from '@claviger/authz';
import type { PolicyBundle } from '@claviger/contracts';
import { type Acknowledged, acknowledge } from './acknowledgements';
import { assignmentWidenings } from './assignments';
import { runTests, type TestOutcome } from './run-tests';
import { type FileIssue, type PolicyTest, parseTestFile } from './test-file';

export interface Tested {
  readonly outcomes: readonly TestOutcome[];
  /** What is wrong with the files themselves. */
  readonly issues: readonly FileIssue[];
  /** Policies that decided in no test. */
  readonly unreached: readonly string[];
}

/** @throws Error where it does not compile: validate it before */
export function compiledOf(bundle: PolicyBundle, slot: string, age: 'new' | 'in-force'): CompiledPolicies {
  const compilation = compilePolicies(bundle, slot, age);
  if (!compilation.ok) throw new NotCompiled(compilation.issues);
  return compilation.compiled;
}
export class NotCompiled extends Error {
  constructor(readonly issues: readonly BundleIssue[]) {
    super(issues.map(({ where, message }) => `${where}: ${message}`).join('; '));
  }
}

/** `files`: content by name. */
export function testPolicies(files: ReadonlyMap<string, string>, bundle: PolicyBundle, compiled: CompiledPolicies): Tested {
  const parsed = [...files].map(([file, content]) => parseTestFile(content, file));
  const tests: PolicyTest[] = parsed.flatMap((file) => (file.ok ? file.tests : []));
  const outcomes = runTests(tests, bundle, compiled);
  const reached = new Set(outcomes.flatMap(({ policies }) => policies));
  return {
    outcomes,
    issues: parsed.flatMap((file) => (file.ok ? [] : file.issues)),
    unreached: [...compiled.policies.keys()].filter((id) => !reached.has(id)),
  };
}

/** What a bundle allows beyond another one. */
export interface Widened extends Omit<Comparison, 'widenings' | 'unsure'> {
  /** By policies, by what people hold, and actions that could not be compared, or by examples only: each with its id. */
  readonly widenings: Acknowledged<{
    readonly id: string;
    readonly example?: string;
    readonly situations?: number;
    readonly policies?: readonly string[];
  }>;
}

export function widenedSince(
  older: PolicyBundle,
  newer: PolicyBundle,
  compiled: { older: CompiledPolicies; newer: CompiledPolicies },
  reasons: ReadonlyMap<string, string>,
): Widened {
  const { widenings: byPolicy, unsure, ...rest } = widenings(compiled.older, compiled.newer);
  const byPeople = assignmentWidenings(older, newer);
  return { ...rest, widenings: acknowledge([...byPolicy, ...byPeople, ...unsure], reasons) };
}

export const ineffectiveIn = (bundle: PolicyBundle, compiled: CompiledPolicies): Ineffective[] => ineffectivePolicies(bundle, compiled);
