import { timingSafeEqual } from 'node:crypto';
import { rowOf, type SecretRow } from './algorithms';
import type { Connection, KeyHandle, KeySource } from './connection';
import { HsmError } from './hsm-error';
import { emptyInput } from './signatures';

/** HMAC (FIPS 198-1) in full length. */
export function mac(connection: Connection, key: KeyHandle, message: Buffer): Buffer {
  const { operate, keyBytes } = macRowOf(connection, key);
  const { operations } = connection.ready();
  try {
    connection.p11.C_SignInit(operations, { mechanism: operate }, key.object);
    return connection.p11.C_Sign(operations, message.length === 0 ? emptyInput : message, Buffer.allocUnsafe(keyBytes));
  } catch (error) {
    throw connection.failure(error, 'sign', key.algorithm);
  }
}

export function macAsync(connection: Connection, source: KeySource, message: Buffer): Promise<Buffer> {
  const input = message.length === 0 ? emptyInput : message;
  return connection.async.run({
    ...{ operation: 'sign', subject: 'HMAC', inputs: [input] },
    begin: (p11, session) => {
      const key = source();
      const { operate, keyBytes } = macRowOf(connection, key);
      p11.C_SignInit(session, { mechanism: operate }, key.object);
      return p11.C_SignAsync(session, input, Buffer.alloc(keyBytes));
    },
  });
}

/** Compared here and not by C_Verify, of which nobody promises that its time is constant. A cut MAC is not the one. */
export const matches = (right: Buffer, given: Buffer): boolean => given.length === right.length && timingSafeEqual(given, right);

function macRowOf(connection: Connection, key: KeyHandle): SecretRow {
  connection.assertCurrent(key);
  const row = rowOf(key.algorithm);
  if (row.shape !== 'secret' || !row.usages.includes('mac'))
    throw new HsmError('HSM_KEY_USE_REFUSED', `An ${key.algorithm} key makes no MAC`);
  return row;
}
