import type { Connection } from './connection';
import { shownAttribute, shownObjects } from './shown-objects';
import { template } from './templates';
import { Token } from './token';
import { destroyCanary } from './token-keys';

/** A token object, of whatever class, whoever made it. */
export interface HeldObject {
  /** CKA_CLASS by name, or its number in hexadecimal. */
  readonly class: string;
  /** CKA_LABEL; empty where there is none. */
  readonly label: string;
  /** CKA_ID, hexadecimal; empty where there is none. */
  readonly id: string;
}

/** PKCS#11 v3.1 §4 (CK_OBJECT_CLASS). */
const classNames: Readonly<Record<number, string>> = {
  ...{ 0: 'data', 1: 'certificate', 2: 'public', 3: 'private', 4: 'secret', 5: 'hardware-feature', 6: 'domain-parameters' },
  ...{ 7: 'mechanism', 8: 'otp-key', 9: 'profile' },
};

/**
 * Every token object that this login sees. The canary must be among them, or there is no telling what else is not seen; session objects are of no account,
 * since they end with their process.
 * @throws HsmError HSM_UNAVAILABLE
 */
export function tokenHoldings(token: Token): HeldObject[] {
  const connection = Token.connectionOf(token);
  connection.assertShowsObjects('all that it holds');
  return held(connection);
}

/**
 * Destroys the canary of a token, last of all, and says what is there then. It was seen a moment before, in the same session: so what is not seen is not there.
 * From then on this process reaches the token no more, until somebody makes a canary there. @throws HsmError HSM_UNAVAILABLE
 */
export function withoutCanary(token: Token): HeldObject[] {
  const connection = Token.connectionOf(token);
  connection.assertShowsObjects('all that it holds');
  destroyCanary(connection);
  return held(connection);
}

function held(connection: Connection): HeldObject[] {
  const found = shownObjects(connection, template({ CKA_TOKEN: true }));
  return found.map((object) => ({
    class: classOf(shownAttribute(connection, object, 'CKA_CLASS')),
    label: shownAttribute(connection, object, 'CKA_LABEL')?.toString('utf8').replaceAll('\0', '').trim() ?? '',
    id: shownAttribute(connection, object, 'CKA_ID')?.toString('hex') ?? '',
  }));
}

function classOf(value: Buffer | undefined): string {
  if (value === undefined || value.length < 4) return 'unknown';
  const number = value.readUInt32LE(0);
  return classNames[number] ?? `0x${number.toString(16)}`;
}
