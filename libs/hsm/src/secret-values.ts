import type { Connection } from './connection';
import { template } from './templates';

/** CKA_VALUE of a session object that was made to be read, in a buffer that whoever gets it overwrites. */
export function readValue(connection: Connection, object: Buffer): Buffer {
  const wanted = template({ CKA_VALUE: undefined });
  const [attribute] = connection.call('read', (p11, { objects }) => p11.C_GetAttributeValue(objects, object, wanted));
  return attribute!.value;
}
