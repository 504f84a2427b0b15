// `npm run crash-rounds -- --rounds 200 [--seed 7]` after the set-up: test/system/crash-rounds.spec.ts, of which `npm test` runs a few rounds. 200 rounds took
// 46 minutes on two cores that others used as well. The seed of a run is in its output, and makes the same plan of commands and kills again.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './setup/paths.mjs';
import { run } from './setup/run-command.mjs';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '200' }, seed: { type: 'string' } } });
for (const [name, value] of Object.entries(values))
  if (!/^\d{1,10}$/.test(value)) {
    process.stderr.write(`--${name} must be a whole number\n`);
    process.exit(64);
  }
const jest = [
  '--experimental-vm-modules',
  join(root, 'node_modules/jest/bin/jest.js'),
  '--config',
  'test/jest.config.js',
  '--forceExit',
  '--verbose',
  'system/crash-rounds',
];
const { code } = await run(process.execPath, jest, {
  cwd: root,
  env: {
    ...process.env,
    CLAVIGER_CRASH_ROUNDS: values.rounds,
    ...(values.seed === undefined ? {} : { CLAVIGER_CRASH_SEED: values.seed }),
  },
  tee: process.stderr,
});
process.exit(code);
