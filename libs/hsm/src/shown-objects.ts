import type { Connection } from './connection';
import { HsmError } from './hsm-error';
import { type AttributeName, template } from './templates';

const page = 100;

/** Handles of every object that fits the template, as far as the login is shown it. @throws HsmError HSM_UNAVAILABLE */
export const shownObjects = (connection: Connection, like: ReturnType<typeof template>): Buffer[] =>
  connection.call('find', (p11, { objects }) => {
    p11.C_FindObjectsInit(objects, like);
    try {
      const all: Buffer[] = [];
      for (let some = p11.C_FindObjects(objects, page); some.length > 0; some = p11.C_FindObjects(objects, page)) all.push(...some);
      return all;
    } finally {
      p11.C_FindObjectsFinal(objects);
    }
  });

/** Undefined where the object has no such attribute, does not show it, or it is empty. */
export function shownAttribute(connection: Connection, object: Buffer, name: AttributeName): Buffer | undefined {
  const value = shown(
    () =>
      connection.call('read', (p11, { objects }) => p11.C_GetAttributeValue(objects, object, template({ [name]: undefined })))[0]!.value,
  );
  return value && value.length > 0 ? value : undefined;
}

/** What a token refuses to say of one object is not known; anything else that fails is a failure of the token. */
export function shown<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof HsmError && (error.code === 'HSM_TEMPLATE_REFUSED' || error.code === 'HSM_KEY_USE_REFUSED')) return undefined;
    throw error;
  }
}
