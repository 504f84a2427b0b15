import { Algorithm, algorithms, signatureSchemes, usagesOf } from '@claviger/contracts';
import { releaseOf, supportOf, type TokenFamily, type TokenSupport } from '@claviger/hsm';
import { code, table } from './table';

/** `generic`: any other token that follows the standard. */
const families: readonly TokenFamily[] = ['softhsm', 'kryoptic', 'generic'];

/** Text of docs/algorithms.md: what the tables of the contracts and of the HSM library say, and where the dates come from. */
export const renderAlgorithms = (): string =>
  [
    '# Algorithms',
    'Made from the tables of `libs/contracts` and `libs/hsm` by `npm run docs`; a test fails when it is not current. Do not edit.',
    '## What a key can be',
    'A key has one usage, chosen when it is made; the first is the usual one. _Strength_ is in bits, against a classical attacker (SP 800-57 Part 1 rev. 5, tables 2 and 3). _Key bits_ are those of the public half for the post-quantum ones. `claviger algorithms` shows the same.',
    table(
      ['algorithm', 'usage: JOSE names', 'key bits', 'strength', 'standard', 'NIST', 'CNSA 2.0'],
      Algorithm.options.map((name) => {
        const { usages, keyBits, strengthBits, standard, cnsa2 } = algorithms[name];
        const uses = Object.entries(usages).map(([usage, names]) => `${usage}: ${names.map(code).join(', ')}`);
        return [code(name), uses.join('; '), String(keyBits), String(strengthBits), standard, nistStatus(name), cnsa2 ? 'yes' : 'no'];
      }),
    ),
    'Until when, and who says so:',
    [
      '- **112 bits** (RSA-2048): SP 800-57 Part 1 rev. 5 (table 4), which is in force, ends its use for protecting with 2030; `claviger` goes by that. The drafts SP 800-131A rev. 3 (October 2024) and IR 8547 (November 2024) are milder: deprecated after 2030, disallowed after 2035.',
      '- **Every RSA and elliptic-curve key**: disallowed after 2035 (draft IR 8547, tables 2 and 4), since a quantum computer breaks it. What was encrypted or agreed on with it can be recorded today.',
      '- **AES-128 and up, HMAC**: no end is set; SP 800-131A rev. 3 (draft) makes 128 bits the least after 2030, which all of them have.',
      '- **CNSA 2.0** (NSA, for national security systems): AES-256, SHA-384 and SHA-512, ML-KEM-1024, ML-DSA-87; exclusively by 2030 to 2033, by the kind of product.',
    ].join('\n'),
    '## Signature schemes',
    table(
      ['JOSE name', 'what', 'digests that it takes'],
      Object.entries(signatureSchemes).map(([name, { what, digestBytes }]) => [
        code(name),
        what,
        digestBytes.length === 0 ? 'none: the message itself' : `${digestBytes.join(', ')} bytes`,
      ]),
    ),
    'ML-DSA takes no precomputed _mu_ (EXTERNAL_MU of FIPS 204 §6.2): PKCS#11 v3.2 has no mechanism for it ([ADR 20](adr/0020-external-mu.md)).',
    '## In the token',
    'Mechanisms of PKCS#11 v3.2 by usage, and where a key can live: `wrapped` keys leave the token under a key-encryption key only, `token` keys never. A mechanism beside it is the token’s own for the same thing. _Other tokens_ are asked for their list of mechanisms; what one has not is `ERR_ALGORITHM_UNAVAILABLE`.',
    table(
      ['algorithm', 'made by', 'used by', ...families.map((family) => releaseOf(family) ?? 'other tokens')],
      Algorithm.options.map((name) => {
        const usual = supportOf(name, 'generic') as TokenSupport;
        return [code(name), code(usual.generate), mechanismsText(name, usual), ...families.map((family) => supportText(name, family))];
      }),
    ),
  ]
    .join('\n\n')
    .concat('\n');

function nistStatus(name: Algorithm): string {
  const { protectUntil, strengthBits } = algorithms[name];
  if (protectUntil === undefined) return 'acceptable, no end set';
  return strengthBits < 128
    ? `until ${protectUntil}; drafts: deprecated from then, disallowed after 2035`
    : `until ${protectUntil} (draft)`;
}

/** For the usages of the contract: the library may know more. */
const mechanismsText = (name: Algorithm, { mechanisms }: TokenSupport): string =>
  usagesOf(name)
    .map((usage) => `${usage}: ${(mechanisms[usage] ?? []).map(code).join(', ')}`)
    .join('; ');

/** Where its keys can live, the mechanisms that are not the usual ones, and the usages that it has not. */
function supportText(name: Algorithm, family: TokenFamily): string {
  const support = supportOf(name, family);
  if (!support) return '–';
  const usual = new Set(Object.values(supportOf(name, 'generic')?.mechanisms ?? {}).flat());
  const others = Object.values(support.mechanisms)
    .flat()
    .filter((mechanism) => !usual.has(mechanism));
  const lacking = usagesOf(name).filter((usage) => support.mechanisms[usage] === undefined);
  return [support.custodies.join(', '), ...others.map(code), ...lacking.map((usage) => `not ${usage}`)].join('; ');
}
