import { createCipheriv, createDecipheriv } from 'node:crypto';
import { families, type TokenFamily } from './algorithms';
import type { Connection, KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { destroyQuietly } from './key-pairs';
import { alternativeIv, importKnownSecret } from './known-keys';
import { readSpki } from './public-keys';
import { assertOpens } from './recovery-proof';
import { groupIdBytes, groupIdOf, type RecoveryShare, recoverySecretBytes, secretCheck, shareDigest } from './recovery-shares';
import { combineSecret, splitSecret } from './secret-sharing';
import { recoveryKeyTemplate } from './templates';
import { Token } from './token';
import { generateWrappedAsync } from './wrapped-keys';

/** Public: whoever has it can encrypt to the group. The private half opens only with `threshold` of the members' shares. Bytes are base64url. */
export interface RecoveryGroup {
  readonly format: 'claviger.recovery-group/1';
  readonly groupId: string;
  readonly threshold: number;
  /** In the order of their indices, from 1 on. */
  readonly members: readonly { readonly name: string; readonly index: number; readonly shareDigest: string }[];
  /** RSA-4096. */
  readonly publicKeySpki: string;
  /** PKCS#8 by RFC 5649 (AES-256 KWP) under the secret that was split; `mechanism` and `family` of the token that made it. */
  readonly wrappedPrivate: { readonly mechanism: number; readonly family: TokenFamily; readonly wrapped: string };
  readonly createdAt: string;
  readonly secretCheck: string;
}

export interface RecoveryGroupRequest {
  threshold: number;
  /** Names of the custodians, each another. */
  members: readonly string[];
  /** RFC 3339. */
  createdAt: string;
}

export interface MadeRecoveryGroup {
  readonly group: RecoveryGroup;
  /** One for each member, in their order; to be overwritten once they are handed over. */
  readonly shares: RecoveryShare[];
}

const algorithm = 'RSA_4096';

/**
 * A pair whose private half leaves the token only under a key of 256 bits from the token's RNG, which is split among the members (`splitSecret`) and
 * then forgotten. Proved to open before anything is given out.
 * @throws HsmError HSM_ARGUMENT_INVALID (2 <= threshold <= members <= 16; names that are not distinct), HSM_TEMPLATE_REFUSED or another that is not
 * retryable where the token lets no key value in
 */
export async function createRecoveryGroup(token: Token, request: RecoveryGroupRequest): Promise<MadeRecoveryGroup> {
  const connection = Token.connectionOf(token);
  const secret = random(connection, recoverySecretBytes);
  try {
    // First, so that a wrong number of members costs nobody the seconds of a pair.
    const idAndShares = share(connection, secret, request);
    const wrappingKey = importKnownSecret(connection, 'AES_256', secret, 'wrap');
    try {
      const { publicKeySpki, ...material } = await generateWrappedAsync(connection, algorithm, () => wrappingKey);
      const { mechanism, family } = material;
      const wrapped = families[family].wrapsAnyLength ? material.wrapped : withoutFilling(secret, material.wrapped);
      const group = documentOf(request, idAndShares, secret, {
        publicKeySpki: publicKeySpki!.toString('base64url'),
        wrappedPrivate: { mechanism, family, wrapped: wrapped.toString('base64url') },
      });
      return proved(token, { group, shares: idAndShares.shares });
    } finally {
      destroyQuietly(connection, wrappingKey);
    }
  } finally {
    secret.fill(0);
  }
}

/**
 * The private half as a session object of this token, whatever token it was made in, that can only decrypt and unwrap; proved to be that of the group's
 * public key. Give `threshold` shares or more; each is checked by itself first.
 * @throws HsmError HSM_ARGUMENT_INVALID (a share of another group, or altered, or twice; too few), HSM_AUTHENTICATION_FAILED (the shares are right and the
 * group's document is not), HSM_WRAPPED_KEY_INVALID, HSM_SELF_TEST_FAILED (the public key is another's)
 */
export function openRecoveryGroup(token: Token, group: RecoveryGroup, shares: readonly RecoveryShare[]): KeyHandle {
  const connection = Token.connectionOf(token);
  assertSharesOf(group, shares);
  const secret = combineSecret(shares.slice(0, group.threshold));
  try {
    if (secretCheck(group.groupId, secret) !== group.secretCheck)
      throw new HsmError('HSM_AUTHENTICATION_FAILED', `The shares do not give the secret of recovery group ${group.groupId}`);
    const wrappingKey = importKnownSecret(connection, 'AES_256', secret, 'wrap');
    try {
      return unwrapPrivate(connection, group, wrappingKey);
    } finally {
      destroyQuietly(connection, wrappingKey);
    }
  } finally {
    secret.fill(0);
  }
}

/** @throws HsmError HSM_ARGUMENT_INVALID */
function assertSharesOf(group: RecoveryGroup, shares: readonly RecoveryShare[]): void {
  const refusal = (what: string) => new HsmError('HSM_ARGUMENT_INVALID', what);
  for (const share of shares) {
    if (share.groupId !== group.groupId) throw refusal(`A share is of recovery group ${share.groupId}, not of ${group.groupId}`);
    const member = group.members.find(({ index }) => index === share.index);
    if (!member || share.threshold !== group.threshold || shareDigest(share) !== member.shareDigest)
      throw refusal(`Share ${share.index} is not one of recovery group ${group.groupId}: it was altered, or replaced by another`);
  }
  const given = new Set(shares.map(({ index }) => index)).size;
  if (given !== shares.length) throw refusal('A share was given twice');
  if (given < group.threshold) throw refusal(`${given} shares were given; recovery group ${group.groupId} needs ${group.threshold}`);
}

function unwrapPrivate(connection: Connection, group: RecoveryGroup, wrappingKey: KeyHandle): KeyHandle {
  const { wrap: mechanism } = families[connection.family];
  connection.assertMechanism(mechanism, 'a recovery group');
  const wrapped = Buffer.from(group.wrappedPrivate.wrapped, 'base64url');
  const object = connection.call(
    'unwrap',
    (p11, { objects }) => p11.C_UnwrapKey(objects, { mechanism }, wrappingKey.object, wrapped, recoveryKeyTemplate()),
    algorithm,
  );
  const key: KeyHandle = { object, algorithm, generation: connection.generation };
  try {
    const spki = Buffer.from(group.publicKeySpki, 'base64url');
    if (!readSpki(connection, object, algorithm).equals(spki))
      throw new HsmError('HSM_SELF_TEST_FAILED', `The public key of recovery group ${group.groupId} is not that of its private half`);
    assertOpens(connection, key, spki);
    return key;
  } catch (error) {
    destroyQuietly(connection, key);
    throw error;
  }
}

function share(connection: Connection, secret: Buffer, { threshold, members }: RecoveryGroupRequest) {
  if (new Set(members).size !== members.length) throw new HsmError('HSM_ARGUMENT_INVALID', 'A custodian is named twice');
  const groupId = groupIdOf(random(connection, groupIdBytes));
  const points = splitSecret(secret, { threshold, count: members.length, random: (bytes) => random(connection, bytes) });
  return { groupId, shares: points.map((point) => ({ ...point, groupId, threshold })) };
}

function documentOf(
  { members, threshold, createdAt }: RecoveryGroupRequest,
  { groupId, shares }: { groupId: string; shares: readonly RecoveryShare[] },
  secret: Buffer,
  pair: Pick<RecoveryGroup, 'publicKeySpki' | 'wrappedPrivate'>,
): RecoveryGroup {
  return {
    ...{ format: 'claviger.recovery-group/1', groupId, threshold },
    members: members.map((name, i) => ({ name, index: shares[i]!.index, shareDigest: shareDigest(shares[i]!) })),
    ...{ ...pair, createdAt, secretCheck: secretCheck(groupId, secret) },
  };
}

/** With the last shares that suffice, since they take part in no other test. */
function proved(token: Token, made: MadeRecoveryGroup): MadeRecoveryGroup {
  try {
    destroyQuietly(Token.connectionOf(token), openRecoveryGroup(token, made.group, made.shares.slice(-made.group.threshold)));
    return made;
  } catch (error) {
    for (const { value } of made.shares) value.fill(0);
    throw error;
  }
}

/**
 * SoftHSM fills a PKCS#8 up with zeros before it wraps it, which a stricter reader of DER refuses (kryoptic does not). What opens the blob is in this
 * process's memory anyway until it is split; so the zeros are taken off here, and the blob is RFC 5649 of the PKCS#8 as it is.
 */
function withoutFilling(secret: Buffer, wrapped: Buffer): Buffer {
  const opening = createDecipheriv('id-aes256-wrap-pad', secret, alternativeIv);
  const filled = Buffer.concat([opening.update(wrapped), opening.final()]);
  const closing = createCipheriv('id-aes256-wrap-pad', secret, alternativeIv);
  try {
    // SEQUENCE with a length of two bytes: every PKCS#8 of an RSA-4096 key.
    return Buffer.concat([closing.update(filled.subarray(0, 4 + filled.readUInt16BE(2))), closing.final()]);
  } finally {
    filled.fill(0);
  }
}

const random = (connection: Connection, bytes: number): Buffer =>
  connection.call('random', (p11, { operations }) => p11.C_GenerateRandom(operations, Buffer.alloc(bytes)));
