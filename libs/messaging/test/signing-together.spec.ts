import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { RecordSignatureError, SigningTogether, signRecord, verifyRecord } from '../src/index';
import { recordsTogetherMax, signRecords } from '../src/signed-record';
import { testSigner } from './test-keys';

const [typ, other] = ['claviger-key+jws', 'claviger-invocations+jws'];
const counting = () => {
  const signer = testSigner();
  let signatures = 0;
  const sign = (input: Buffer) => {
    signatures++;
    return signer.sign(input);
  };
  return { ...signer, sign, count: () => signatures };
};
const records = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ typ: i % 3 === 0 ? other : typ, payload: { id: `k${i}`, n: i } }));

test('however many are signed together have one signature, and each is read back alone', () => {
  const count = fc.integer({ min: 1, max: recordsTogetherMax });
  fc.assert(
    fc.property(count, (size) => {
      const signer = counting();
      const signed = signRecords(records(size), signer);
      expect(signer.count()).toBe(1);
      for (const [i, { typ, payload }] of records(size).entries())
        expect(verifyRecord(typ, signed[i] as string, signer.trusted)).toEqual(payload);
    }),
    { numRuns: 12, examples: [[1], [2], [3], [recordsTogetherMax]] },
  );
});

test('what is asked for in one turn is signed together', async () => {
  const signer = counting();
  const together = new SigningTogether(signer);
  const signed = await Promise.all(records(700).map(({ typ, payload }) => together.sign(typ, payload)));
  expect(signer.count()).toBe(2);
  for (const [i, { typ, payload }] of records(700).entries())
    expect(verifyRecord(typ, signed[i] as string, signer.trusted)).toEqual(payload);
  const alone = await together.sign(typ, { id: 'k' });
  expect(alone.split('.')).toHaveLength(3);
});

test('a token that does not sign fails all that were asked for, and none later', async () => {
  const signer = counting();
  let away = true;
  const sign = (input: Buffer) => {
    if (away) throw new Error('the token is away');
    return signer.sign(input);
  };
  const together = new SigningTogether({ ...signer, sign });
  const asked = await Promise.allSettled([together.sign(typ, 1), together.sign(typ, 2)]);
  expect(asked.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  away = false;
  expect(verifyRecord(typ, await together.sign(typ, 3), signer.trusted)).toBe(3);
});

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const signer = testSigner();
const [first, second] = signRecords(
  [
    { typ, payload: { id: 'a' } },
    { typ, payload: { id: 'b' } },
    { typ, payload: { id: 'c' } },
  ],
  signer,
) as [string, string];
const [strangers] = signRecords(
  [
    { typ, payload: { id: 'a' } },
    { typ, payload: { id: 'x' } },
  ],
  testSigner(signer.kid),
) as [string];
const part = (record: string, i: number) => record.split('.')[i] as string;
const withPart = (record: string, i: number, value: string) =>
  record
    .split('.')
    .map((own, at) => (at === i ? value : own))
    .join('.');
const headOf = (more: object) => encode({ alg: 'claviger-ES256-tree', kid: signer.kid, typ, ...more });
/** A root that was signed as something else: whoever is given a signature of a record must not have one of a tree. */
const rootAs = (typ: string) => signRecord(typ, JSON.parse(Buffer.from(part(first, 3), 'base64url').toString()), signer);

test.each([
  ['another payload', withPart(first, 1, encode({ id: 'z' }))],
  ['the payload of another of them', withPart(first, 1, part(second, 1))],
  ['the proof of another of them', withPart(first, 2, part(second, 2))],
  ['no proof', withPart(first, 2, '')],
  ['a proof that is too short', withPart(first, 2, part(first, 2).slice(0, -4))],
  [
    'a proof with a hash more',
    withPart(first, 2, Buffer.concat([Buffer.from(part(first, 2), 'base64url'), Buffer.alloc(32)]).toString('base64url')),
  ],
  ['the head of a record that is signed alone', withPart(first, 0, encode({ alg: 'ES256', kid: signer.kid, typ }))],
  ['another use', withPart(first, 0, headOf({ typ: other }))],
  ['an unknown key', withPart(first, 0, headOf({ kid: 'control-9' }))],
  ['a critical extension', withPart(first, 0, headOf({ crit: [] }))],
  ['the tree of somebody else', strangers],
  ['the root of another tree', [...first.split('.').slice(0, 3), ...strangers.split('.').slice(3)].join('.')],
  ['a root that is no root', withPart(first, 3, encode({ root: 7, size: 3 }))],
  ['a root that was signed for another use', [...first.split('.').slice(0, 3), ...rootAs(typ).split('.').slice(1)].join('.')],
  [
    'a tree of one that claims to be the record',
    `${first.split('.').slice(0, 2).join('.')}.AAA.${encode({ root: '', size: 1 })}.${part(first, 4)}`,
  ],
  ['a part more', `${first}.x`],
  ['a part less', first.split('.').slice(0, 4).join('.')],
  ['head, body and signature of the root as a record', `${part(first, 0)}.${part(first, 1)}.${part(first, 4)}`],
])('%s is refused', (_what, record) => {
  expect(() => verifyRecord(typ, record, signer.trusted)).toThrow(RecordSignatureError);
  expect(verifyRecord(typ, first, signer.trusted)).toEqual({ id: 'a' });
});

test('the signed root is no record of any bucket', () => {
  const root = rootAs('claviger-record-tree+jws');
  for (const use of [typ, other]) expect(() => verifyRecord(use, root, signer.trusted)).toThrow(RecordSignatureError);
});
