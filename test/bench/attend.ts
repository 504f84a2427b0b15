// For together.spec.ts: tells when it was ready and over what interval it was asked to measure: attend.js LASTS_MS [before|after, when it fails]
import { setTimeout as delay } from 'node:timers/promises';
import { told, untilTime, whenAllAreReady } from './interval';

/** Milliseconds since 1970-01-01 UTC. */
export interface Attendance {
  readyMs: number;
  fromMs: number;
  endMs: number;
}

const [lastsMs, failure] = [Number(process.argv[2]), process.argv[3]];
await delay((process.pid % 5) * 100);
if (failure === 'before') throw new Error('failed before');
const readyMs = Date.now();
const fromMs = await whenAllAreReady();
if (failure === 'after') throw new Error('failed after');
await untilTime(fromMs + lastsMs);
await told({ readyMs, fromMs, endMs: fromMs + lastsMs } satisfies Attendance);
