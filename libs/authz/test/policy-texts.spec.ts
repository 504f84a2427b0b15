import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Policy, parsePolicies, parsing } from '../src/policy-set';
import { policyTexts } from '../src/policy-texts';
import { atOnce } from '../src/steps';
import { starter } from './starter-set';

const byText = (policies: readonly Policy[]) => new Map(policies.map((policy) => [policy.text, policy]));
/** In an order: Cedar's own is none. */
const inOrder = <T>(list: readonly T[]): T[] => [...list].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
const read = (text: string, known = new Map<string, Policy>()) => {
  const parsed = atOnce(parsing(text, known));
  return parsed.ok ? inOrder(parsed.policies) : inOrder(parsed.issues);
};

test('the texts of the starter set are those that Cedar finds', () => {
  const parsed = parsePolicies(starter.policies);
  if (!parsed.ok) throw new Error('the starter set does not parse');
  expect([...policyTexts(starter.policies)!].sort()).toEqual(parsed.policies.map(({ text }) => text).sort());
});

/** What a text is made of: whole policies, and what makes it hard to tell where they end. */
const permit = (id: string, condition = 'true') =>
  `@id("${id}")\n@control("c")\npermit (principal, action, resource)\nwhen { ${condition} };`;
const known = [
  permit('a'),
  permit('b', '"; // \\" }" == "x"'),
  permit('c', 'true // ; "\n && false'),
  permit('d', 'principal has e && "\\\\" == ";"').replaceAll('\n', '\r'),
];
const hard = [
  'permit (principal, action, resource);',
  permit('e'),
  '"',
  ';',
  '//',
  '\n',
  '\r',
  ' ',
  '\u00a0',
  '\u0085',
  '\ufeff',
  '/',
  '\\',
  '*/',
  'when',
  '{',
  '}',
];
const known5 = byText(
  known.flatMap((text) => {
    const one = parsePolicies(text);
    if (!one.ok) throw new Error(`${text}: ${JSON.stringify(one.issues)}`);
    return one.policies;
  }),
);

test('with policies known that are not parsed again, the same is found as without', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...known) }, { weight: 2, arbitrary: fc.constantFrom(...hard) }), {
        maxLength: 8,
      }),
      fc.constantFrom('', ' ', '\n', '\r\n// c\n'),
      (parts, between) => {
        const text = parts.join(between);
        expect(read(text, known5)).toEqual(read(text));
      },
    ),
    {
      numRuns: 400,
      examples: [
        [[known[0]!, '//', known[1]!], ''],
        [['"', known[0]!], ''],
        [[known[0]!, known[0]!], '\n'],
      ],
    },
  );
});
