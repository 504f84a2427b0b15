// `npm run fault-matrix` after the set-up: the whole of test/system/fault-matrix.spec.ts, of which `npm test` runs a cut form. About 7 minutes on two cores.
import { join } from 'node:path';
import { root } from './setup/paths.mjs';
import { run } from './setup/run-command.mjs';

const jest = [
  '--experimental-vm-modules',
  join(root, 'node_modules/jest/bin/jest.js'),
  '--config',
  'test/jest.config.js',
  '--forceExit',
  '--verbose',
];
const { code } = await run(process.execPath, [...jest, 'system/fault-matrix', ...process.argv.slice(2)], {
  cwd: root,
  env: { ...process.env, CLAVIGER_FAULT_MATRIX: 'thorough' },
  tee: process.stderr,
});
process.exit(code);
