import { options } from './options';
import { together } from './together';
import type { TokenRates } from './token-load';

/** Kinds of calls that token-load.ts measures one after the other, with room for one more. */
const kinds = 8;

/** Scenario `token`: what the token alone gives in so many processes, by the worker's own library and nothing around it. */
export async function tokenAlone() {
  const { processes, seconds, token } = options;
  const lastsMs = kinds * (seconds + 1) * 1_000;
  const runs = await together<TokenRates>('token-load', { processes, args: [String(seconds), token], lastsMs });
  const result = Object.fromEntries(
    Object.keys(runs[0] as TokenRates).map((name) => [name, Math.round(runs.reduce((sum, rates) => sum + (rates[name] ?? 0), 0))]),
  );
  console.log(`token ${token}: calls a second, ${processes} process(es), 1 KiB messages, the same ${seconds} s in each`);
  for (const [name, rate] of Object.entries(result)) console.log(`  ${name.padEnd(34)} ${String(rate).padStart(8)}`);
  return { result: { token, processes, callsPerSecond: result }, ok: true };
}
