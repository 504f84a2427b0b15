// Labels of the customer keys that are objects of the token `customer`, as JSON: node dist/test/system/token-labels.js FOLDER LIBRARY

import { setTimeout as delay } from 'node:timers/promises';
import { readPin } from '@claviger/hsm';
import { createInstallation } from '@claviger/installation';
import pkcs11 from 'pkcs11js';

const [folder, libraryPath] = process.argv.slice(2) as [string, string];
const { place } = createInstallation({ folder, libraryPath });
process.env.SOFTHSM2_CONF = place.softhsmConf('customer');
const { CKA_LABEL, CKF_SERIAL_SESSION, CKU_USER } = pkcs11;
const p11 = new pkcs11.PKCS11();
p11.load(libraryPath);
p11.C_Initialize();
const slot = p11.C_GetSlotList(true).find((one) => p11.C_GetTokenInfo(one).label.trim() === 'customer');
if (!slot) throw new Error('there is no token customer');
const session = p11.C_OpenSession(slot, CKF_SERIAL_SESSION);
p11.C_Login(session, CKU_USER, readPin(place.pinFile('customer')));

function labels(): Set<string> {
  const found = new Set<string>();
  p11.C_FindObjectsInit(session, []);
  try {
    for (;;) {
      const some = p11.C_FindObjects(session, 100);
      if (some.length === 0) return found;
      for (const object of some) {
        const label = String(p11.C_GetAttributeValue(session, object, [{ type: CKA_LABEL }])[0]?.value ?? '');
        if (label.startsWith('key-')) found.add(label);
      }
    }
  } finally {
    p11.C_FindObjectsFinal(session);
  }
}

/** An object that a worker makes or destroys at this moment cannot be read: then all are read again. One that stays so is a fault. */
async function labelsAtRest(): Promise<Set<string>> {
  for (let attempt = 1; ; attempt++)
    try {
      return labels();
    } catch (error) {
      if (attempt === 50) throw error;
      await delay(100);
    }
}

const all = await labelsAtRest();
p11.C_Finalize();
console.log(JSON.stringify([...all]));
