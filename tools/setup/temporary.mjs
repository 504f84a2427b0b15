// Data folders of tests and demos lie in .claviger/tmp as NAME-PID-RANDOM. Those of processes that are gone were left by a kill -9.
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isAlive } from './is-alive.mjs';
import { claviger } from './paths.mjs';

export async function sweepTemporary() {
  const folder = join(claviger, 'tmp');
  for (const name of await readdir(folder).catch(() => [])) {
    const pid = Number(/-(\d+)-[^-]+$/.exec(name)?.[1]);
    // Another user's leftovers (a run with sudo) are not ours to remove.
    if (pid && !isAlive(pid)) await rm(join(folder, name), { recursive: true, force: true }).catch(() => {});
  }
}
