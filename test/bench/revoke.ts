import { setTimeout as delay } from 'node:timers/promises';
import { codeIn, type RawCaller, rawCaller } from '../system/raw-caller';
import type { Bench } from './bench';
import { lastRecordedSuccess, quantiles, quantilesText } from './last-success';
import { options } from './options';

/** One caller, always in flight, until its connection is cut. What it was told, by code. */
function loadOf(caller: RawCaller, keyId: string, concurrency: number) {
  const codes = new Map<string, number>();
  let running = true;
  const loops = Array.from({ length: concurrency }, async () => {
    while (running) {
      try {
        const code = codeIn(await caller.ask('crypto.encrypt', { keyId, plaintext: 'bG9hZA' }));
        codes.set(code, (codes.get(code) ?? 0) + 1);
        if (code !== 'OK') await delay(1);
      } catch {
        // The connection is closed, or a request was under way when it was: the ledger says what became of it.
        running = false;
      }
    }
  });
  return { codes, stop: () => Promise.all(loops) };
}

/** Scenario `revoke`: a session is revoked while it is used. Measured: from the command to its last success that any worker recorded, and to the cut. */
export async function revocation({ stack, administrator, auditor, officer, callerTokens, report }: Bench) {
  const { trials, workers } = options;
  const concurrency = Math.min(options.concurrency, 16);
  const ids = Object.keys(callerTokens);
  const { keyId } = await administrator.keys.create({ name: 'bench-revoke', algorithm: 'AES_256', consumers: ids });
  const [last, answered, cut]: [number[], number[], number[]] = [[], [], []];
  let successAfterAnswer = 0;
  const told = new Map<string, number>();
  for (let trial = 0; trial < trials; trial++) {
    // Each revocation ends an authentication, so each trial wants a new one.
    const fresh = trial % ids.length === 0 ? await stack.tokens(ids.map((id) => ({ id, kind: 'service', roles: [] }))) : undefined;
    if (fresh) Object.assign(callerTokens, fresh);
    const id = ids[trial % ids.length] as string;
    const caller = await rawCaller(stack.broker.url, id, callerTokens[id] as string);
    const load = loadOf(caller, keyId, concurrency);
    while ((load.codes.get('OK') ?? 0) < concurrency * 4) await delay(5);
    const from = new Date(Date.now() - 1).toISOString();
    const askedAt = Date.now();
    const closed = caller.connection.closed().then(() => Date.now());
    await officer.access.revokeSession({ session: caller.session, reason: `trial ${trial}` });
    const answeredAt = Date.now();
    cut.push((await closed) - askedAt);
    await load.stop();
    answered.push(answeredAt - askedAt);
    const lastAt = await lastRecordedSuccess(auditor, { principal: id, action: 'crypto:Encrypt' }, from, answeredAt);
    last.push(lastAt === undefined ? 0 : Math.max(0, lastAt - askedAt));
    if (lastAt !== undefined && lastAt > answeredAt) successAfterAnswer++;
    for (const [code, count] of load.codes) told.set(code, (told.get(code) ?? 0) + count);
    if ((trial + 1) % 25 === 0) report(`${trial + 1} sessions revoked`);
  }
  const result = {
    ...{ trials, workers, concurrency, successAfterAnswer },
    lastSuccessMs: quantiles(last),
    answeredMs: quantiles(answered),
    cutMs: quantiles(cut),
    told: Object.fromEntries(told),
  };
  console.log(`revoke: ${trials} trials, concurrency ${concurrency}, ${workers} worker(s)`);
  console.log(`  last recorded success after the command: ${quantilesText(result.lastSuccessMs)}`);
  console.log(`  answered after the command:              ${quantilesText(result.answeredMs)}`);
  console.log(`  connection cut after the command:        ${quantilesText(result.cutMs)}`);
  console.log(
    `  sessions with a success after the answer, which waits for no worker: ${successAfterAnswer}; callers were told ${JSON.stringify(result.told)}`,
  );
  const others = [...told.keys()].filter((code) => code !== 'OK' && code !== 'ERR_SESSION_REVOKED');
  return { result, ok: others.length === 0 };
}
