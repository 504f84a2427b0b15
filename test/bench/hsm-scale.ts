import { randomBytes } from 'node:crypto';
import { createCustomerKeys, initToken, Token } from '@claviger/hsm';
import { createTokens, temporaryFolder } from '@claviger/testing';
import { FaultToken } from '../fault-token/fault-token';
import type { Bench } from './bench';
import type { FarRate } from './far-load';
import { options } from './options';
import { type Throughput, throughput } from './throughput';
import { together } from './together';

type OnStack = <R extends object>(
  measure: (bench: Bench) => Promise<{ result: R; ok: boolean }>,
  workerEnv: Record<string, string>,
) => Promise<{ result: R; ok: boolean }>;

const steps = [1, 2, 4, 8];
const line = (cells: (string | number)[]) => console.log(`  ${cells.map((cell) => String(cell).padStart(14)).join('')}`);
const share = (rate: number, of: number) => `${Math.round((100 * rate) / of)} %`;

/**
 * Scenario `hsm-scale`: an HSM behind a network, whose operations take `--latency-ms`. First its client library alone in 1, 2, 4 and 8 processes, then
 * the whole system with as many workers, four requests in flight for each session (a request waits for two calls, its own and the signature of its
 * record); both against what sessions ÷ latency allows.
 */
export async function hsmScale(onStack: OnStack) {
  const { latencyMs, sessions, seconds } = options;
  const fault = await FaultToken.start();
  try {
    for (const name of ['C_Encrypt', 'C_Decrypt', 'C_Sign', 'C_Verify'] as const) fault.latency(name, latencyMs * 1_000);
    const library = await libraryAlone(fault);
    const limit = (1_000 / latencyMs) * sessions;
    console.log(`hsm-scale: an HSM of ${latencyMs} ms, ${sessions} sessions a process: at most ${limit} calls a second and process`);
    console.log('the library alone:');
    line(['processes', 'calls/s', 'of the limit', 'linear', 'loop p99 ms']);
    for (const { processes, rates } of library) {
      const sum = rates.reduce((total, { callsPerSecond }) => total + callsPerSecond, 0);
      const single = library[0]?.rates[0]?.callsPerSecond as number;
      const delay = Math.max(...rates.map(({ loopDelayP99Ms }) => loopDelayP99Ms));
      line([processes, sum, share(sum, limit * processes), share(sum, single * processes), delay]);
    }
    if (options.libraryOnly) return { result: { latencyMs, sessions, library }, ok: true };

    const workerEnv = { ...fault.env, HSM_DISTANCE: 'far', HSM_SESSIONS: String(sessions), UV_THREADPOOL_SIZE: String(sessions + 8) };
    const system: (Throughput & { workers: number; ok: boolean })[] = [];
    for (const workers of steps) {
      Object.assign(options, { scenario: 'encrypt', workers, concurrency: 4 * sessions * workers, seconds });
      const { result, ok } = await onStack(throughput, workerEnv);
      system.push({ workers, ...result, ok });
    }
    console.log(`the whole system, encrypt, HSM of ${latencyMs} ms:`);
    line(['workers', 'req/s', 'of the limit', 'linear', 'p50 ms', 'p99 ms', 'loop p99 ms', 'missing/twice', 'errors']);
    const rateOf = ({ measured }: Pick<Throughput, 'measured'>) => measured[0]?.requestsPerSecond ?? 0;
    const single = rateOf(system[0] as Throughput);
    for (const { workers, workerLoop, ledger, ...result } of system) {
      const [rate, [load]] = [rateOf(result), result.measured];
      const errors = Object.values(load?.errors ?? {}).reduce((sum, times) => sum + times, 0);
      const speed = [workers, rate, share(rate, limit * workers), share(rate, single * workers), load?.p50Ms ?? '', load?.p99Ms ?? ''];
      line([...speed, workerLoop.p99Ms, `${ledger.missing} / ${ledger.twice}`, errors]);
    }
    return { result: { latencyMs, sessions, library, system }, ok: system.every(({ ok }) => ok) };
  } finally {
    await fault.stop();
  }
}

async function libraryAlone(fault: FaultToken): Promise<{ processes: number; rates: FarRate[] }[]> {
  const folder = await temporaryFolder('hsm-scale');
  const { libraryPath, env } = await createTokens(folder.path, { labels: ['spare'] });
  const [label, pin] = ['customer', randomBytes(12).toString('base64url')];
  process.env.SOFTHSM2_CONF = env.SOFTHSM2_CONF;
  initToken(libraryPath, { label, soPin: randomBytes(12).toString('base64url'), pin });
  const token = Token.open({ libraryPath, tokenLabel: label, pin });
  createCustomerKeys(token);
  token.close();
  const { sessions } = options;
  const seconds = Math.min(options.seconds, 5);
  const childEnv = {
    ...{ ...process.env, ...env, ...fault.env, HSM_LABEL: label, HSM_PIN: pin },
    UV_THREADPOOL_SIZE: String(sessions + 4),
  };
  const measured: { processes: number; rates: FarRate[] }[] = [];
  for (const processes of steps) {
    const args = [String(seconds), String(sessions)];
    measured.push({
      processes,
      rates: await together<FarRate>('far-load', { processes, args, env: childEnv, lastsMs: (seconds + 2) * 1_000 }),
    });
  }
  await folder.remove();
  return measured;
}
