import { createDecipheriv, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import {
  createRecoveryGroup,
  keyFacts,
  type MadeRecoveryGroup,
  openRecoveryGroup,
  type RecoveryShare,
  reshareRecoveryGroup,
  shareOfText,
  Token,
  textOfShare,
  tokenFacts,
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

test.each(families)(
  '%s: reshared, the same key opens with the new shares only, and whoever has too few reshares nothing',
  async (family) => {
    const token = fresh(family);
    const { group, shares } = made[family];
    const other = { threshold: 3, members: ['ann', 'kim', 'lee', 'max'], createdAt: '2027-01-31T12:00:00.000Z' };
    await expect(reshareRecoveryGroup(token, group, shares.slice(1, 2), other)).rejects.toMatchObject(invalid);
    const renewed = await reshareRecoveryGroup(token, group, shares.slice(1), other);
    const { groupId, publicKeySpki } = group;
    expect(renewed.group).toMatchObject({ groupId, publicKeySpki, threshold: 3, createdAt: other.createdAt });
    for (const family of families) {
      const elsewhere = fresh(family);
      elsewhere.destroyObject(openRecoveryGroup(elsewhere, renewed.group, renewed.shares.slice(1)));
      for (const wrong of [shares, [...renewed.shares.slice(0, 2), shares[2]!], renewed.shares.slice(2)])
        expect(caught(() => openRecoveryGroup(elsewhere, renewed.group, wrong))).toMatchObject(invalid);
    }
  },
);

test.each(families)('%s: a token says what it is, and shows of its keys that they were made in it and never leave', (family) => {
  const token = fresh(family);
  token.generateRootKey('root');
  const spki = token.generateTokenKeyPair('certifier', 'EC_P256');
  expect(tokenFacts(token)).toMatchObject({
    label: token.label,
    family,
    serialNumber: expect.stringMatching(/./),
    library: expect.stringMatching(/\d+\.\d+$/),
  });
  const kept = { CKA_SENSITIVE: true, CKA_ALWAYS_SENSITIVE: true, CKA_EXTRACTABLE: false, CKA_NEVER_EXTRACTABLE: true, CKA_LOCAL: true };
  expect(keyFacts(token, 'root', 'secret')).toMatchObject({
    ...{ label: 'root', class: 'secret', algorithm: 'AES_256' },
    attributes: { ...kept, CKA_WRAP: true, CKA_UNWRAP: true, CKA_ENCRYPT: false, CKA_DECRYPT: false, CKA_MODIFIABLE: false },
  });
  expect(keyFacts(token, 'certifier', 'private')).toMatchObject({
    ...{ algorithm: 'EC_P256', publicKeySpki: spki.toString('base64url'), fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/) },
    attributes: { ...kept, CKA_SIGN: true, CKA_DECRYPT: false, CKA_UNWRAP: false },
  });
  token.generateRootKey('clonable', { clonable: true });
  expect(keyFacts(token, 'clonable', 'secret').attributes).toMatchObject({ CKA_EXTRACTABLE: true, CKA_NEVER_EXTRACTABLE: false });
});

test.each(families)('%s: a key that another token wraps to the public key of the group comes in through the opened one', (family) => {
  const [sender, token] = [fresh('softhsm'), fresh(family)];
  const { group, shares } = made[family];
  for (const each of [sender, token]) each.generateRootKey('root');
  const from = sender.findTokenKey('root', 'secret');
  const key = { ...sender.generateWrapped({ algorithm: 'EC_P256', wrappingKey: from }), algorithm: 'EC_P256', wrappingKey: from } as const;
  const scheme = 'RSA_AES_KEY_WRAP_SHA_256';
  const blob = sender.wrapToRecipient({ ...key, scheme, recipient: Buffer.from(group.publicKeySpki, 'base64url') });
  const receiver = openRecoveryGroup(token, group, shares);
  const wrappingKey = token.findTokenKey('root', 'secret');
  const taken = token.unwrapFromSender({ blob, scheme, receiver, algorithm: 'EC_P256', wrappingKey });
  expect(taken.publicKeySpki).toEqual(key.publicKeySpki);
});
