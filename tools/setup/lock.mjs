// One set-up at a time in a checkout: two `npm ci` in one folder destroy each other's work.
import { linkSync, mkdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { isAlive } from './is-alive.mjs';
import { claviger } from './paths.mjs';

const file = `${claviger}/setup.lock`;

const holder = () => {
  try {
    return Number(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
};

/** Runs `work` alone. Waits for another set-up of this checkout; one that died holds nothing. */
export async function alone(work, waiting) {
  mkdirSync(claviger, { recursive: true });
  const mine = `${file}.${process.pid}`;
  writeFileSync(mine, String(process.pid));
  try {
    for (let told = false; ; ) {
      try {
        linkSync(mine, file); // a link is made whole and only when the name is free
        break;
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
      }
      const pid = holder();
      if (pid && !isAlive(pid)) rmSync(file, { force: true });
      else {
        if (!told) waiting(pid);
        told = true;
        await delay(500);
      }
    }
  } finally {
    unlinkSync(mine);
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}
