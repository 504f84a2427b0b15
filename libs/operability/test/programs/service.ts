// A service whose start and drain do what the arguments say; each prints what happens.
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { readConfiguration, runService } from '../../src/index';

const [scenario] = process.argv.slice(2);
const say = (line: string) => process.stdout.write(`${line}\n`);
setInterval(() => undefined, 1_000);

await runService('spec', async () => {
  if (scenario === 'misconfigured') readConfiguration(z.object({ SPEC_URL: z.string().describe('where it is') }), {});
  if (scenario === 'broken') throw new Error('no token');
  if (scenario === 'slow-start') {
    say('starting');
    await delay(60_000);
  }
  return [
    async () => {
      say('step 1 begins');
      await delay(200);
      say('step 1 ends');
    },
    () => {
      say('step 2');
      throw new Error('step 2 fails');
    },
    () => say('step 3'),
  ];
});
say('running');
