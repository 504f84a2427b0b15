// Initialises SoftHSM tokens in a process of its own, because the library reads SOFTHSM2_CONF from the environment that a process was started with.
// Standard input: {"libraryPath", "tokens": [{"label", "pin", "soPin"}]}; PINs never appear among arguments.
import { text } from 'node:stream/consumers';
import pkcs11js from 'pkcs11js';

const { libraryPath, tokens } = JSON.parse(await text(process.stdin));
const pkcs11 = new pkcs11js.PKCS11();
pkcs11.load(libraryPath);
pkcs11.C_Initialize();
try {
  for (const { label, pin, soPin } of tokens) {
    const free = pkcs11.C_GetSlotList(true).find((slot) => (pkcs11.C_GetTokenInfo(slot).flags & pkcs11js.CKF_TOKEN_INITIALIZED) === 0);
    if (!free) throw new Error('no slot with an uninitialised token');
    pkcs11.C_InitToken(free, soPin, label.padEnd(32)); // the library reads 32 bytes, padded with spaces (PKCS#11 v3.1 §5.5.7)
    const slot = pkcs11.C_GetSlotList(true).find((candidate) => pkcs11.C_GetTokenInfo(candidate).label.trim() === label);
    const session = pkcs11.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION);
    pkcs11.C_Login(session, pkcs11js.CKU_SO, soPin);
    pkcs11.C_InitPIN(session, pin);
    pkcs11.C_Logout(session);
    pkcs11.C_CloseSession(session);
  }
} finally {
  pkcs11.C_Finalize();
}
