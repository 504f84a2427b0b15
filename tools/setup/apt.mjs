import { onPath } from './on-path.mjs';
import { SetupProblem } from './problem.mjs';
import { mustRun, run } from './run-command.mjs';

let updated = false;
let rights;

/** 'root', 'sudo' (without a password) or 'none'. */
export async function privilege() {
  if (!rights) {
    if (process.getuid?.() === 0) rights = 'root';
    else rights = onPath('sudo') && (await run('sudo', ['-n', 'true'], { timeoutMs: 5_000 })).code === 0 ? 'sudo' : 'none';
  }
  return rights;
}

/** Can we install Debian packages without asking anyone? */
export const canInstall = async () => Boolean(onPath('apt-get')) && (await privilege()) !== 'none';

/** Installs Debian packages, or says exactly what the reader has to install. `elsewhere`: what to do on other systems. */
export async function aptInstall(packages, say, elsewhere = []) {
  const byHand = [`On Debian or Ubuntu: sudo apt-get install -y ${packages.join(' ')}`, ...elsewhere, 'Then run the same command again.'];
  if (!(await canInstall())) throw new SetupProblem(`missing: ${packages.join(', ')}`, byHand);
  const apt = (...args) => {
    const command = ['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-q', '-o', 'DPkg::Lock::Timeout=300', ...args];
    if (rights === 'sudo') command.unshift('sudo', '-n');
    return mustRun(command[0], command.slice(1), { what: `apt-get ${args[0]}`, todo: byHand, timeoutMs: 900_000 });
  };
  if (!updated) {
    say('refreshing the list of Debian packages');
    await apt('update');
    updated = true;
  }
  say(`installing ${packages.join(', ')}`);
  await apt('install', '-y', '--no-install-recommends', ...packages);
}
