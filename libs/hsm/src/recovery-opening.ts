import { families, type TokenFamily } from './algorithms';
import type { Connection, KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { destroyQuietly } from './key-pairs';
import { importKnownSecret } from './known-keys';
import { readSpki } from './public-keys';
import { assertOpens } from './recovery-proof';
import { type RecoveryShare, secretCheck, shareDigest } from './recovery-shares';
import { combineSecret } from './secret-sharing';
import { recoveryKeyTemplate } from './templates';
import { Token } from './token';

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

export const recoveryAlgorithm = 'RSA_4096';

/**
 * The private half as a session object of this token, whatever token it was made in, that can only decrypt and unwrap; proved to be that of the group's
 * public key. Give `threshold` shares or more; each is checked by itself first.
 * @throws HsmError HSM_ARGUMENT_INVALID (a share of another group, or altered, or twice; too few), HSM_AUTHENTICATION_FAILED (the shares are right and the
 * group's document is not), HSM_WRAPPED_KEY_INVALID, HSM_SELF_TEST_FAILED (the public key is another's)
 */
export function openRecoveryGroup(token: Token, group: RecoveryGroup, shares: readonly RecoveryShare[]): KeyHandle {
  const connection = Token.connectionOf(token);
  const wrappingKey = importSecretOf(connection, group, shares);
  try {
    return unwrapPrivate(connection, group, wrappingKey);
  } finally {
    destroyQuietly(connection, wrappingKey);
  }
}

/** What the private half is wrapped under, for as long as the caller keeps it. @throws HsmError: see openRecoveryGroup */
export function importSecretOf(connection: Connection, group: RecoveryGroup, shares: readonly RecoveryShare[]): KeyHandle {
  assertSharesOf(group, shares);
  const secret = combineSecret(shares.slice(0, group.threshold));
  try {
    if (secretCheck(group.groupId, secret) !== group.secretCheck)
      throw new HsmError('HSM_AUTHENTICATION_FAILED', `The shares do not give the secret of recovery group ${group.groupId}`);
    return importKnownSecret(connection, 'AES_256', secret, 'wrap');
  } finally {
    secret.fill(0);
  }
}

/** @throws HsmError HSM_ARGUMENT_INVALID */
export function assertShareOf(group: RecoveryGroup, share: RecoveryShare): void {
  if (share.groupId !== group.groupId) throw refusal(`A share is of recovery group ${share.groupId}, not of ${group.groupId}`);
  const member = group.members.find(({ index }) => index === share.index);
  if (!member || share.threshold !== group.threshold || shareDigest(share) !== member.shareDigest)
    throw refusal(`Share ${share.index} is not one of recovery group ${group.groupId}: it was altered, or replaced by another`);
}

function assertSharesOf(group: RecoveryGroup, shares: readonly RecoveryShare[]): void {
  for (const share of shares) assertShareOf(group, share);
  const given = new Set(shares.map(({ index }) => index)).size;
  if (given !== shares.length) throw refusal('A share was given twice');
  if (given < group.threshold) throw refusal(`${given} shares were given; recovery group ${group.groupId} needs ${group.threshold}`);
}

const refusal = (what: string) => new HsmError('HSM_ARGUMENT_INVALID', what);

function unwrapPrivate(connection: Connection, group: RecoveryGroup, wrappingKey: KeyHandle): KeyHandle {
  const { wrap: mechanism } = families[connection.family];
  connection.assertMechanism(mechanism, 'a recovery group');
  const wrapped = Buffer.from(group.wrappedPrivate.wrapped, 'base64url');
  const object = connection.call(
    'unwrap',
    (p11, { objects }) => p11.C_UnwrapKey(objects, { mechanism }, wrappingKey.object, wrapped, recoveryKeyTemplate()),
    recoveryAlgorithm,
  );
  const key: KeyHandle = { object, algorithm: recoveryAlgorithm, generation: connection.generation };
  try {
    const spki = Buffer.from(group.publicKeySpki, 'base64url');
    if (!readSpki(connection, object, recoveryAlgorithm).equals(spki))
      throw new HsmError('HSM_SELF_TEST_FAILED', `The public key of recovery group ${group.groupId} is not that of its private half`);
    assertOpens(connection, key, spki);
    return key;
  } catch (error) {
    destroyQuietly(connection, key);
    throw error;
  }
}
