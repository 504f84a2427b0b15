import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { claviger, machineFile } from './paths.mjs';

/** What an earlier set-up found, or undefined. */
export function readMachine() {
  try {
    return JSON.parse(readFileSync(machineFile, 'utf8'));
  } catch {
    return undefined;
  }
}

/** @param {{ nats: object, store: object, pkcs11: { libraryPath: string }, kryoptic?: { libraryPath: string }, kmsEmulator?: { python: string }, docker: boolean, node: string }} machine */
export function writeMachine(machine) {
  mkdirSync(claviger, { recursive: true });
  writeFileSync(`${machineFile}.making`, `${JSON.stringify(machine, null, 2)}\n`, { mode: 0o600 }); // a URL may hold a password
  renameSync(`${machineFile}.making`, machineFile);
}
