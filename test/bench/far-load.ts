// One process that asks a far token as fast as its sessions allow, started by together.ts: far-load.js SECONDS SESSIONS, with HSM_LABEL and HSM_PIN. Tells its FarRate.
import { randomBytes } from 'node:crypto';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Token } from '@claviger/hsm';
import { told, untilTime, whenAllAreReady } from './interval';

export interface FarRate {
  callsPerSecond: number;
  loopDelayP99Ms: number;
}

const [seconds, sessions] = process.argv.slice(2).map(Number) as [number, number];
const { PKCS11_LIBRARY = '', HSM_LABEL = '', HSM_PIN = '' } = process.env;
const where = { libraryPath: PKCS11_LIBRARY, tokenLabel: HSM_LABEL, pin: HSM_PIN };
/** SoftHSM fails at times when several processes open a token at the same moment. */
async function opened(tries: number): Promise<Token> {
  try {
    return Token.open({ ...where, distance: 'far', asyncSessions: sessions });
  } catch (error) {
    if (tries === 1) throw error;
    await new Promise((resolve) => setTimeout(resolve, 100 + 400 * Math.random()));
    return opened(tries - 1);
  }
}
const token = await opened(5);
const root = token.findTokenKey('root', 'secret');
const made = token.generateWrapped({ algorithm: 'AES_256', wrappingKey: root });
const key = token.unwrap({ ...made, algorithm: 'AES_256', usage: 'encrypt', wrappingKey: root });
const [plaintext, aad] = [randomBytes(1_024), Buffer.alloc(160)];

const [warmMs, tailMs] = [1_000, 250];
let calls = 0;
let running = true;
const caller = async () => {
  for (; running; calls++) await token.use.encryptGcm(() => key, randomBytes(12), aad, plaintext);
};
const startMs = await whenAllAreReady();
await untilTime(startMs);
// Twice as many as there are sessions: one waits behind each that runs.
const callers = Array.from({ length: 2 * sessions }, caller);
const fromMs = startMs + warmMs;
await untilTime(fromMs);
const loop = monitorEventLoopDelay({ resolution: 1 });
loop.enable();
const [before, began] = [calls, performance.now()];
await untilTime(fromMs + seconds * 1_000);
const callsPerSecond = Math.round((calls - before) / ((performance.now() - began) / 1_000));
loop.disable();
// Nobody has the machine to itself at the end either.
await untilTime(fromMs + seconds * 1_000 + tailMs);
running = false;
await Promise.all(callers);
token.close();
await told({ callsPerSecond, loopDelayP99Ms: Number((loop.percentile(99) / 1e6).toFixed(1)) } satisfies FarRate);
