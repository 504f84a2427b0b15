// Step: an emulator of AWS KMS (moto), for the tests of `claviger discover aws-kms` and `policy drift --aws-kms`. Optional: without it they are skipped.
import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { onPath } from './on-path.mjs';
import { kmsEmulator, root } from './paths.mjs';
import { run } from './run-command.mjs';

const requirements = join(root, 'tools', 'kms-emulator', 'requirements.txt');

/** The Python that has it (`-m moto.server`), or undefined. */
export const kmsEmulatorFound = () => (existsSync(kmsEmulator) ? { python: join(kmsEmulator, 'bin', 'python') } : undefined);

export async function installKmsEmulator(say) {
  const there = kmsEmulatorFound();
  if (there) return { found: there.python };
  const python = onPath('python3');
  if (!python) return { found: 'none: no python3 on PATH, so what is found in AWS KMS is not tested' };
  say('installing moto 5.1.5 into a folder of its own, once, about a minute');
  const making = `${kmsEmulator}.making`;
  await rm(making, { recursive: true, force: true });
  const steps = [
    [python, ['-m', 'venv', making]],
    [join(making, 'bin', 'python'), ['-m', 'pip', 'install', '--quiet', '--no-deps', '--disable-pip-version-check', '-r', requirements]],
  ];
  for (const [command, args] of steps) {
    const { code } = await run(command, args, { timeoutMs: 600_000 });
    if (code !== 0) return { found: `none: \`${command} ${args.slice(0, 3).join(' ')} …\` failed (Debian: apt install python3-venv)` };
  }
  await rename(making, kmsEmulator);
  return { found: `installed, ${kmsEmulator}` };
}
