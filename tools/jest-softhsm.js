// Jest globalSetup: a throw-away folder for SoftHSM tokens, in which each worker of Jest gets one of its own (jest-softhsm-environment.js).
// Where kryoptic was built, slots of it as well: CLAVIGER_TEST_KRYOPTIC is then its library; each worker of Jest has slots of its own.
// The tests read CLAVIGER_TEST_PKCS11 (the library) and make their tokens themselves.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kryopticFound } from './setup/kryoptic.mjs';

const candidates = [
  process.env.PKCS11_LIBRARY,
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib64/pkcs11/libsofthsm2.so',
  '/usr/local/lib/softhsm/libsofthsm2.so',
  '/opt/homebrew/lib/softhsm/libsofthsm2.so',
];

export default function prepareTokens() {
  const library = candidates.find((path) => path && existsSync(path));
  if (!library) throw new Error('SoftHSM is not installed: apt install softhsm2, or set PKCS11_LIBRARY to libsofthsm2.so');
  const folder = mkdtempSync(join(tmpdir(), 'claviger-softhsm-'));
  // On exit rather than in a globalTeardown, so that an interrupted run leaves nothing behind either.
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  process.env.CLAVIGER_TEST_TOKENS = folder;
  process.env.CLAVIGER_TEST_PKCS11 = library;
  prepareKryoptic(folder);
}

const slotsPerWorker = 32;
const workers = 8;

function prepareKryoptic(folder) {
  const library = kryopticFound()?.libraryPath;
  if (!library) return;
  const slots = Array.from(
    { length: slotsPerWorker * workers },
    (_, slot) => `[[slots]]\nslot = ${slot}\ndbtype = "sqlite"\ndbargs = "${join(folder, `kryoptic-${slot}.sql`)}"\n`,
  );
  writeFileSync(join(folder, 'kryoptic.conf'), slots.join(''));
  process.env.KRYOPTIC_CONF = join(folder, 'kryoptic.conf');
  process.env.CLAVIGER_TEST_KRYOPTIC = library;
  process.env.CLAVIGER_TEST_KRYOPTIC_SLOTS = String(slotsPerWorker);
}
