// Live reload for one service: rebuild on change, stop the old process with SIGTERM (it drains), start the new one.
import { spawn } from 'node:child_process';
import { context, options } from './build.mjs';

const buildOptions = options(process.argv[2]);
let child;
const start = () => {
  child = spawn(process.execPath, ['--enable-source-maps', buildOptions.outfile], { stdio: 'inherit' });
};
const stop = () =>
  new Promise((resolve) => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once('exit', resolve);
    child.kill('SIGTERM');
  });
buildOptions.plugins.push({
  name: 'restart',
  setup(b) {
    b.onEnd(async ({ errors }) => {
      if (errors.length > 0) return;
      await stop();
      start();
    });
  },
});
const watcher = await context(buildOptions);
await watcher.watch();
for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, async () => {
    await watcher.dispose();
    await stop();
    process.exit(0);
  });
