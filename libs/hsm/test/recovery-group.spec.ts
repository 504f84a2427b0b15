import { createDecipheriv, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import {
  createRecoveryGroup,
  type MadeRecoveryGroup,
  openRecoveryGroup,
  type RecoveryShare,
  shareOfText,
  Token,
  textOfShare,
} from '../src/index';
import { combineSecret } from '../src/secret-sharing';
import { template } from '../src/templates';
import { caught, families, openFreshOf } from './fresh-token';

type Family = (typeof families)[number];
const request = { threshold: 2, members: ['ann', 'ben', 'eve'], createdAt: '2026-01-31T12:00:00.000Z' };
const made = {} as Record<Family, MadeRecoveryGroup>;
const tokens: Token[] = [];
const fresh = (family: Family) => {
  const token = openFreshOf(family);
  tokens.push(token);
  return token;
};
beforeAll(async () => {
  for (const family of families) made[family] = await createRecoveryGroup(fresh(family), request);
}, 120_000);
afterAll(() => {
  for (const token of tokens) token.close();
});

const invalid = { code: 'HSM_ARGUMENT_INVALID', retryable: false };
const pairsOf = <T>([a, b, c]: readonly T[]) => [
  [a!, b!],
  [c!, a!],
  [c!, b!],
];

test.each(families.flatMap((from) => families.map((to) => [from, to] as const)))(
  'made in %s, it opens in another token of %s with any two of three shares, as people copy them',
  (from, to) => {
    const token = fresh(to);
    const { group, shares } = made[from];
    for (const two of pairsOf(shares))
      token.destroyObject(
        openRecoveryGroup(
          token,
          group,
          two.map((share) => shareOfText(textOfShare(share))),
        ),
      );
    token.destroyObject(openRecoveryGroup(token, group, shares));
  },
);

test.each(families)('%s: what is opened decrypts and unwraps, and does not sign, stay or leave', (family) => {
  const token = fresh(family);
  const { group, shares } = made[family];
  const key = openRecoveryGroup(token, group, shares);
  const names = ['CKA_DECRYPT', 'CKA_UNWRAP', 'CKA_SIGN', 'CKA_TOKEN', 'CKA_EXTRACTABLE', 'CKA_SENSITIVE', 'CKA_MODIFIABLE'] as const;
  const wanted = template(Object.fromEntries(names.map((name) => [name, undefined])));
  const read = Token.connectionOf(token).call('read', (p11, { objects }) => p11.C_GetAttributeValue(objects, key.object, wanted));
  expect(read.map(({ value }) => value[0])).toEqual([1, 1, 0, 0, 0, 1, 0]);
  expect(caught(() => token.signDigest(key, 'PS256', Buffer.alloc(32)))).toMatchObject({ code: 'HSM_KEY_USE_REFUSED' });
});

test.each(families)(
  '%s: the blob is RFC 5649 of the PKCS#8 and nothing more, which OpenSSL opens with the secret of the shares',
  (family) => {
    const { group, shares } = made[family];
    const opening = createDecipheriv('id-aes256-wrap-pad', combineSecret(shares.slice(1)), Buffer.from('a65959a6', 'hex'));
    const pkcs8 = Buffer.concat([opening.update(group.wrappedPrivate.wrapped, 'base64url'), opening.final()]);
    expect(pkcs8.length).toBe(4 + pkcs8.readUInt16BE(2));
    const publicKey = createPublicKey(
      createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' }),
    );
    expect(publicKey.export({ format: 'der', type: 'spki' }).toString('base64url')).toBe(group.publicKeySpki);
    expect(publicKey.asymmetricKeyDetails?.modulusLength).toBe(4096);
  },
);

test('a share that is missing, doubled, altered or of another group is refused, each before anything is combined', () => {
  const token = fresh('softhsm');
  const { group, shares } = made.softhsm;
  const [first, second] = shares as [RecoveryShare, RecoveryShare];
  const altered = { ...second, value: Buffer.from(second.value) };
  altered.value[31]! ^= 1;
  const foreign = { ...second, groupId: '0'.repeat(22) };
  const wrongs: [RecoveryShare[], string][] = [
    [[first], 'needs 2'],
    [[], 'needs 2'],
    [[first, first], 'twice'],
    [[first, altered], 'Share 2'],
    [[first, { ...second, index: 3 }], 'Share 3'],
    [[first, { ...second, index: 4 }], 'Share 4'],
    [[first, { ...second, threshold: 3 }], 'Share 2'],
    [[first, foreign], 'of recovery group 0000'],
    [[...shares, altered], 'Share 2'],
  ];
  for (const [wrong, said] of wrongs)
    expect(caught(() => openRecoveryGroup(token, group, wrong))).toMatchObject({ ...invalid, message: expect.stringContaining(said) });
});

test("a document that was altered does not open: another check, another blob, another's public key", () => {
  const token = fresh('softhsm');
  const { group, shares } = made.softhsm;
  const flipped = Buffer.from(group.wrappedPrivate.wrapped, 'base64url');
  flipped[99]! ^= 1;
  const other = generateKeyPairSync('rsa', { modulusLength: 4096 }).publicKey.export({ format: 'der', type: 'spki' });
  const opened = (change: object) => caught(() => openRecoveryGroup(token, { ...group, ...change }, shares));
  expect(opened({ secretCheck: randomBytes(32).toString('base64url') })).toMatchObject({ code: 'HSM_AUTHENTICATION_FAILED' });
  const wrappedPrivate = { ...group.wrappedPrivate, wrapped: flipped.toString('base64url') };
  expect(opened({ wrappedPrivate })).toMatchObject({ code: 'HSM_WRAPPED_KEY_INVALID' });
  expect(opened({ publicKeySpki: other.toString('base64url') })).toMatchObject({ code: 'HSM_SELF_TEST_FAILED' });
});

test('a group of one, or with a threshold of one, or with a custodian twice, is none', async () => {
  const token = fresh('softhsm');
  for (const wrong of [{ threshold: 1 }, { threshold: 4 }, { members: ['ann'] }, { members: ['ann', 'ann', 'ben'] }])
    await expect(createRecoveryGroup(token, { ...request, ...wrong })).rejects.toMatchObject(invalid);
});
