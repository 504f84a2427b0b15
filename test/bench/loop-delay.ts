// For the crypto-workers of a bench, by `node --import`: how late their event loops are while the clock runs. SIGUSR2 begins; the next one ends, and
// writes a LoopDelay into LOOP_DELAY_FOLDER under the id of the process.
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';

export interface LoopDelay {
  p50Ms: number;
  p99Ms: number;
}

const resolutionMs = 10;
let histogram: ReturnType<typeof monitorEventLoopDelay> | undefined;
process.on('SIGUSR2', () => {
  if (histogram === undefined) {
    histogram = monitorEventLoopDelay({ resolution: resolutionMs });
    histogram.enable();
    return;
  }
  const ended = histogram;
  histogram = undefined;
  ended.disable();
  // What it holds is the time between two of its timers, which are a resolution apart when nothing is late.
  const at = (percent: number) => Number(Math.max(0, ended.percentile(percent) / 1e6 - resolutionMs).toFixed(1));
  const path = join(process.env.LOOP_DELAY_FOLDER as string, `${process.pid}.json`);
  writeFileSync(`${path}.new`, JSON.stringify({ p50Ms: at(50), p99Ms: at(99) } satisfies LoopDelay));
  renameSync(`${path}.new`, path);
});
