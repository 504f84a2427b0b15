import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand, workspaceRoot } from '@claviger/testing';

const sources = ['fault-token.c', 'cryptoki.h'];
const flags = ['-std=c11', '-O2', '-Wall', '-Wextra', '-fPIC', '-shared', '-fvisibility=hidden', '-pthread'];

/** Path of the compiled module: in .claviger/cache, under the hash of its sources. `CC` names another compiler than `cc`. @throws what to install, when there is none */
export async function buildModule(compiler = process.env.CC || 'cc'): Promise<string> {
  const folder = join(workspaceRoot(), 'test/fault-token');
  const hash = createHash('sha256').update([process.platform, process.arch, ...flags].join(' '));
  for (const source of sources) hash.update(readFileSync(join(folder, source)));
  const cache = join(workspaceRoot(), '.claviger/cache');
  const path = join(cache, `fault-token-${hash.digest('hex').slice(0, 16)}.so`);
  if (existsSync(path)) return path;
  mkdirSync(cache, { recursive: true });
  const unfinished = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    await runCommand(compiler, [...flags, '-o', unfinished, join(folder, 'fault-token.c'), '-ldl']);
    renameSync(unfinished, path);
  } catch (cause) {
    rmSync(unfinished, { force: true });
    throw new Error(
      `the fault token of the tests did not compile: it needs a C11 compiler, \`${compiler}\` (Debian: apt install gcc libc6-dev; Fedora: dnf install gcc; macOS: xcode-select --install)`,
      { cause },
    );
  }
  return path;
}
