// Jest globalSetup: three throw-away SoftHSM tokens (customer, control, ledger) in a fresh folder, with random PINs.
// It must be here and not in a test: the library reads SOFTHSM2_CONF from the C environment, and Jest gives tests only a copy of process.env.
// Where kryoptic was built, slots of it as well: CLAVIGER_TEST_KRYOPTIC is then its library; each worker of Jest has slots of its own.
// The tests read CLAVIGER_TEST_PKCS11 (library) and CLAVIGER_TEST_PIN_CUSTOMER, _CONTROL, _LEDGER.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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

export default function createTokens() {
  const library = candidates.find((path) => path && existsSync(path));
  if (!library) throw new Error('SoftHSM is not installed: apt install softhsm2, or set PKCS11_LIBRARY to libsofthsm2.so');
  const folder = mkdtempSync(join(tmpdir(), 'claviger-softhsm-'));
  // On exit rather than in a globalTeardown, so that an interrupted run leaves nothing behind either.
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'tokens'), { mode: 0o700 });
  writeFileSync(join(folder, 'softhsm2.conf'), `directories.tokendir = ${folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n`);
  process.env.SOFTHSM2_CONF = join(folder, 'softhsm2.conf');
  process.env.CLAVIGER_TEST_PKCS11 = library;
  for (const label of ['customer', 'control', 'ledger']) {
    const [pin, soPin] = [randomBytes(8).toString('hex'), randomBytes(8).toString('hex')];
    // A PIN on a command line is good enough for a token that lives for one test run; `initToken` of libs/hsm does without.
    execFileSync('softhsm2-util', ['--init-token', '--free', '--label', label, '--pin', pin, '--so-pin', soPin]);
    process.env[`CLAVIGER_TEST_PIN_${label.toUpperCase()}`] = pin;
  }
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
