import { Action, actionTable, EncryptionContext, GroupName, PrincipalId, RoleId, Timestamp } from '@claviger/contracts';
import type { Node } from 'yaml';
import { z } from 'zod';
import { yaml } from './yaml';

/** Bounds of one file of tests. */
export const testFileLimits = { chars: 1_000_000, tests: 5_000 } as const;

const text = z.string().min(1).max(500);
const Person = z.strictObject({
  id: PrincipalId.default('somebody'),
  kind: z.enum(['person', 'service']).default('person'),
  roles: z.array(RoleId).max(100).default([]),
  /** `tenant/id`. */
  groups: z.array(GroupName).max(100).default([]),
  disabled: z.boolean().default(false),
});
export type TestPerson = z.infer<typeof Person>;
/** Somebody of principals.json by id, or a person as the test says. */
const Who = z.union([PrincipalId, Person]);
const Key = z.strictObject({
  id: text.default('k_0000000000000000000000'),
  environment: text.default('development'),
  classification: text.default('internal'),
  owner: PrincipalId.default('nobody'),
  consumers: z.array(PrincipalId).max(1_000).default([]),
  algorithm: text.default('AES_256'),
  usage: text.default('encrypt'),
  createdBy: PrincipalId.optional(),
  residency: z.array(text).max(100).optional(),
  tags: z.record(z.string(), z.string()).default({}),
});
const Context = z.strictObject({
  mfa: z.boolean().default(false),
  method: text.default('token'),
  /** Authentication context class of an OIDC token; none when left out. */
  acr: text.optional(),
  time: Timestamp.default('2026-06-01T12:00:00.000Z'),
  /** A grant in force names this principal, action and key. */
  granted: z.boolean().default(false),
  sessionAgeSeconds: z.int().min(0).optional(),
  encryptionContext: EncryptionContext.optional(),
  /** Of keys:SetOwner. */
  newOwner: Who.optional(),
});
const decision = z.enum(['allow', 'deny', 'needs-approval']);
const Expected = z.union([
  decision.transform((kind) => ({ decision: kind })),
  z.strictObject({
    decision,
    /** These decide; others may decide the same. */
    policies: z.array(z.string()).min(1).max(100).optional(),
    quorum: z.int().min(1).max(99).optional(),
    approvers: z.array(RoleId).min(1).max(100).optional(),
  }),
]);
const Test = z
  .strictObject({
    name: text,
    principal: Who,
    /** Each of several is a test of its own. */
    action: z.union([Action, z.array(Action).min(1).max(200)]),
    key: Key.optional(),
    context: Context.prefault({}),
    expect: Expected,
  })
  .refine(({ action, key }) => key === undefined || [action].flat().every((one) => actionTable[one] === 'Key'), {
    message: 'this action is about the system, not about a key',
    path: ['key'],
  })
  .refine(({ expect }) => expect.decision === 'needs-approval' || !('quorum' in expect || 'approvers' in expect), {
    message: 'quorum and approvers are of needs-approval',
    path: ['expect'],
  });
const File = z.strictObject({ tests: z.array(Test).min(1).max(testFileLimits.tests) });

export type PolicyTest = Omit<z.infer<typeof Test>, 'action' | 'key'> & {
  action: Action;
  key: z.infer<typeof Key>;
  /** Where it stands, for people: `file:line`. */
  place: string;
};
/** With the line that it is about. */
export interface FileIssue {
  readonly place: string;
  readonly message: string;
}
export type ParsedTests = { ok: true; tests: PolicyTest[] } | { ok: false; issues: FileIssue[] };

/** Reads a `*.cedar-test.yaml`: YAML 1.2, nothing in it that this schema does not name. */
export function parseTestFile(content: string, file: string): ParsedTests {
  if (content.length > testFileLimits.chars)
    return { ok: false, issues: [{ place: file, message: `is longer than ${testFileLimits.chars} characters` }] };
  const { LineCounter, parseDocument } = yaml();
  const lines = new LineCounter();
  const document = parseDocument(content, { lineCounter: lines, uniqueKeys: true });
  const at = (offset: number | undefined) => (offset === undefined ? file : `${file}:${lines.linePos(offset).line}`);
  if (document.errors.length > 0)
    return { ok: false, issues: document.errors.map(({ pos, message }) => ({ place: at(pos[0]), message: message.split('\n')[0]! })) };
  const placeOf = (path: readonly PropertyKey[]): string => {
    // What is missing has no line: then the line of what it is missing in.
    for (let length = path.length; length >= 0; length -= 1) {
      const node = length === 0 ? document.contents : (document.getIn(path.slice(0, length), true) as Node | null | undefined);
      if (node && typeof node === 'object' && node.range) return at(node.range[0]);
    }
    return file;
  };
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    return { ok: false, issues: [{ place: file, message: (error as Error).message }] };
  }
  const parsed = File.safeParse(value);
  if (!parsed.success) return { ok: false, issues: parsed.error.issues.flatMap((issue) => told(issue, placeOf)) };
  const tests = parsed.data.tests.flatMap(({ action, key, ...test }, index) =>
    [action].flat().map((one) => ({ ...test, action: one, key: key ?? Key.parse({}), place: placeOf(['tests', index]) })),
  );
  return { ok: true, tests };
}

/** Of a value that may be one of several shapes, what is wrong with the one that was meant. */
function told(issue: z.core.$ZodIssue, placeOf: (path: readonly PropertyKey[]) => string, base: readonly PropertyKey[] = []): FileIssue[] {
  const path = [...base, ...issue.path];
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const meant = issue.errors.filter((errors) => !errors.every((error) => error.code === 'invalid_type' && error.path.length === 0));
    return (meant.at(-1) ?? issue.errors[0]!).flatMap((error) => told(error, placeOf, path));
  }
  return [{ place: placeOf(path), message: `${path.join('.')}: ${issue.message}` }];
}
