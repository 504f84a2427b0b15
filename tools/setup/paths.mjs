import { join } from 'node:path';

/** The checkout. */
export const root = join(import.meta.dirname, '..', '..');

/** Everything the set-up makes lies here; git ignores it, and deleting it is always safe. */
export const claviger = join(root, '.claviger');

/** Programs we downloaded or built. */
export const bin = join(claviger, 'bin');

/** What is dear to make again: the PostgreSQL root, a downloaded mongod. CLAVIGER_CACHE_DIR lets several checkouts share it. */
export const cache = process.env.CLAVIGER_CACHE_DIR || join(claviger, 'cache');

/** What this machine has: written here, read by libs/testing. */
export const machineFile = join(claviger, 'machine.json');

/** Node 24 from the lockfile, for platforms that have the package. */
export const packagedNode = join(
  root,
  'node_modules',
  `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`,
  'bin',
  'node',
);

/** An emulator of AWS KMS, where `npm run setup` has installed it; its versions are those of tools/kms-emulator/requirements.txt. */
export const kmsEmulator = join(cache, 'moto-5.1.5');

/** kryoptic's PKCS#11 library, where `npm run setup` has built it; its version is that of tools/kryoptic/Cargo.toml. */
export const kryopticLibrary = join(cache, 'kryoptic-1.5.4', 'libkryoptic_pkcs11.so');
