import { createCipheriv, createDecipheriv } from 'node:crypto';
import { families } from './algorithms';
import type { Connection, KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { destroyQuietly } from './key-pairs';
import { alternativeIv, importKnownSecret } from './known-keys';
import { importSecretOf, openRecoveryGroup, type RecoveryGroup, recoveryAlgorithm } from './recovery-opening';
import { groupIdBytes, groupIdOf, type RecoveryShare, recoverySecretBytes, secretCheck, shareDigest } from './recovery-shares';
import { rewrap } from './rewrapping';
import { splitSecret } from './secret-sharing';
import { Token } from './token';
import { generateWrappedAsync, type WrappedKeyMaterial } from './wrapped-keys';

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

/**
 * A pair whose private half leaves the token only under a key of 256 bits from the token's RNG, which is split among the members (`splitSecret`) and
 * then forgotten. Proved to open before anything is given out. Takes seconds.
 * @throws HsmError HSM_ARGUMENT_INVALID (2 <= threshold <= members <= 16; names that are not distinct), HSM_TEMPLATE_REFUSED or another that is not
 * retryable where the token lets no key value in
 */
export function createRecoveryGroup(token: Token, request: RecoveryGroupRequest): Promise<MadeRecoveryGroup> {
  const connection = Token.connectionOf(token);
  const groupId = groupIdOf(random(connection, groupIdBytes));
  return make(token, groupId, request, async (wrappingKey) => {
    const { publicKeySpki, ...material } = await generateWrappedAsync(connection, recoveryAlgorithm, () => wrappingKey);
    return { material, publicKeySpki: publicKeySpki!.toString('base64url') };
  });
}

/**
 * The same pair under a new secret, for other custodians or another threshold; it never leaves the token in clear. The group keeps its id. Shares of
 * before are none of the new document; together with a copy of the old one they would still open the pair, so they are to be destroyed.
 * @throws HsmError as openRecoveryGroup and createRecoveryGroup
 */
export async function reshareRecoveryGroup(
  token: Token,
  group: RecoveryGroup,
  shares: readonly RecoveryShare[],
  request: RecoveryGroupRequest,
): Promise<MadeRecoveryGroup> {
  const connection = Token.connectionOf(token);
  // Proves the group whole, document and shares, before anything is made of it.
  destroyQuietly(connection, openRecoveryGroup(token, group, shares));
  const from = importSecretOf(connection, group, shares);
  try {
    return await make(token, group.groupId, request, async (to) => {
      const wrapped = Buffer.from(group.wrappedPrivate.wrapped, 'base64url');
      const mechanism = families[connection.family].wrap;
      const material = rewrap(connection, { wrapped, mechanism, algorithm: recoveryAlgorithm, from, to });
      return { material, publicKeySpki: group.publicKeySpki };
    });
  } finally {
    destroyQuietly(connection, from);
  }
}

async function make(
  token: Token,
  groupId: string,
  request: RecoveryGroupRequest,
  wrapPrivate: (wrappingKey: KeyHandle) => Promise<{ material: WrappedKeyMaterial; publicKeySpki: string }>,
): Promise<MadeRecoveryGroup> {
  const connection = Token.connectionOf(token);
  const { threshold, members, createdAt } = request;
  if (new Set(members).size !== members.length) throw new HsmError('HSM_ARGUMENT_INVALID', 'A custodian is named twice');
  const secret = random(connection, recoverySecretBytes);
  try {
    // First, so that a wrong number of members costs nobody the seconds of a pair.
    const points = splitSecret(secret, { threshold, count: members.length, random: (bytes) => random(connection, bytes) });
    const shares = points.map((point) => ({ ...point, groupId, threshold }));
    const wrappingKey = importKnownSecret(connection, 'AES_256', secret, 'wrap');
    try {
      const { material, publicKeySpki } = await wrapPrivate(wrappingKey);
      const { mechanism, family } = material;
      const wrapped = families[family].wrapsAnyLength ? material.wrapped : withoutFilling(secret, material.wrapped);
      const group: RecoveryGroup = {
        ...{ format: 'claviger.recovery-group/1', groupId, threshold },
        members: members.map((name, i) => ({ name, index: shares[i]!.index, shareDigest: shareDigest(shares[i]!) })),
        ...{ publicKeySpki, wrappedPrivate: { mechanism, family, wrapped: wrapped.toString('base64url') } },
        ...{ createdAt, secretCheck: secretCheck(groupId, secret) },
      };
      // With the last shares that suffice.
      destroyQuietly(connection, openRecoveryGroup(token, group, shares.slice(-threshold)));
      return { group, shares };
    } catch (error) {
      for (const { value } of shares) value.fill(0);
      throw error;
    } finally {
      destroyQuietly(connection, wrappingKey);
    }
  } finally {
    secret.fill(0);
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
