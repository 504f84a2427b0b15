import { type Bench, startGenerator } from './bench';
import { options } from './options';
import { measureSuspend } from './suspend';
import type { SuspendOrders } from './suspend-load';

/** Scenario `suspend`: one key is frozen and resumed under load. */
export async function suspension({ stack, env, administrator, auditor, officer, callerTokens }: Bench) {
  const { concurrency, trials, workers } = options;
  const consumers = Object.keys(callerTokens);
  const { keyId } = await administrator.keys.create({ name: 'bench-suspend', algorithm: 'AES_256', consumers });
  const orders: SuspendOrders = {
    url: stack.broker.url,
    tokens: callerTokens,
    keyId,
    concurrency,
    payloadBytes: 1_024,
    refusal: 'ERR_KEY_SUSPENDED',
  };
  const load = await startGenerator('suspend-load', orders, env);
  const result = await measureSuspend({ officer, auditor, load, keyId, trials, concurrency, workers });
  const { lastSuccessMs: last, confirmedMs: confirmed } = result;
  console.log(`suspend: ${result.trials} trials, concurrency ${result.concurrency}, ${result.workers} worker(s)`);
  console.log(`  last recorded success after the command: p50 ${last.p50} ms, p99 ${last.p99} ms, max ${last.max} ms`);
  console.log(`  confirmed after the command:             p50 ${confirmed.p50} ms, p99 ${confirmed.p99} ms, max ${confirmed.max} ms`);
  console.log(
    `  not confirmed: ${result.notConfirmed}; a success after the confirmation: ${result.successAfterConfirmed}; other errors of the load: ${result.otherErrors}`,
  );
  // NaN when the generator did not end cleanly.
  return { result, ok: result.notConfirmed === 0 && result.successAfterConfirmed === 0 && result.otherErrors === 0 };
}
