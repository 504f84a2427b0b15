import { timingSafeEqual } from 'node:crypto';
import { rowOf } from './algorithms';
import type { Connection, KeyHandle } from './connection';
import { HsmError } from './hsm-error';
import { emptyInput } from './signatures';

/** HMAC (FIPS 198-1) in full length. */
export function mac(connection: Connection, key: KeyHandle, message: Buffer): Buffer {
  connection.assertCurrent(key);
  const row = rowOf(key.algorithm);
  if (row.shape !== 'secret' || !row.usages.includes('mac'))
    throw new HsmError('HSM_KEY_USE_REFUSED', `An ${key.algorithm} key makes no MAC`);
  const { operations } = connection.ready();
  try {
    connection.p11.C_SignInit(operations, { mechanism: row.operate }, key.object);
    return connection.p11.C_Sign(operations, message.length === 0 ? emptyInput : message, Buffer.allocUnsafe(row.keyBytes));
  } catch (error) {
    throw connection.failure(error, 'sign', key.algorithm);
  }
}

/** Compared here and not by C_Verify, of which nobody promises that its time is constant. A cut MAC is not valid. */
export function verifyMac(connection: Connection, key: KeyHandle, message: Buffer, given: Buffer): boolean {
  const right = mac(connection, key, message);
  return given.length === right.length && timingSafeEqual(given, right);
}
