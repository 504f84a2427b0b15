// Step: node_modules as package-lock.json says, with pkcs11js compiled for the Node that will load it.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { aptInstall } from './apt.mjs';
import { machinePath, onPath } from './on-path.mjs';
import { claviger, root } from './paths.mjs';
import { SetupProblem } from './problem.mjs';
import { mustRun } from './run-command.mjs';

const lockFile = join(root, 'package-lock.json');
const stampFile = join(claviger, 'dependencies.sha256');
const addon = join(root, 'node_modules/pkcs11js/build/Release/pkcs11.node');

const lockHash = () => createHash('sha256').update(readFileSync(lockFile)).update(`${process.platform} ${process.arch}`).digest('hex');

const writeStamp = () => {
  mkdirSync(claviger, { recursive: true });
  writeFileSync(stampFile, lockHash());
};

/** npm writes node_modules/.package-lock.json as its last act: an interrupted install has none. */
function installedAsLocked() {
  try {
    const wanted = JSON.parse(readFileSync(lockFile, 'utf8')).packages;
    const present = JSON.parse(readFileSync(join(root, 'node_modules/.package-lock.json'), 'utf8')).packages;
    return Object.entries(wanted).every(
      ([path, { version, optional, devOptional, link }]) =>
        path === '' || link || optional || devOptional || !version || present[path]?.version === version,
    );
  } catch {
    return false;
  }
}

function upToDate() {
  if (!existsSync(addon)) return false;
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === lockHash() && existsSync(join(root, 'node_modules/.package-lock.json')))
    return true;
  if (!installedAsLocked()) return false;
  writeStamp();
  return true;
}

/** pkcs11js is a native module without prebuilt files. */
async function buildTools(say) {
  const missing = [];
  if (!onPath('make')) missing.push('make');
  if (!onPath('c++') && !onPath('g++') && !onPath('clang++')) missing.push('g++');
  if (!onPath('python3')) missing.push('python3');
  if (missing.length === 0) return;
  await aptInstall(missing, say, ['On Fedora: sudo dnf install -y make gcc-c++ python3', 'On macOS: xcode-select --install']);
}

export async function dependencies(say) {
  if (upToDate()) return { found: 'as package-lock.json says' };
  if (!onPath('npm'))
    throw new SetupProblem('npm is not on PATH', ['Install Node.js 20 or newer with npm, then run the same command again.']);
  await buildTools(say);
  rmSync(stampFile, { force: true });
  say('npm ci (about half a minute)');
  // npm runs install scripts with the first `node` on PATH: never the one inside the folder that it is about to replace.
  await mustRun(onPath('npm'), ['ci', '--no-audit', '--no-fund', '--foreground-scripts=false'], {
    cwd: root,
    env: { ...process.env, PATH: machinePath(), CI: process.env.CI ?? '' },
    what: 'npm ci',
    timeoutMs: 1_200_000,
    todo: ['The npm registry must be reachable for this step. Run the same command again to resume.'],
  });
  if (!existsSync(addon))
    throw new SetupProblem('npm did not compile pkcs11js', [
      'npm 11 asks before it runs install scripts: `npm config get ignore-scripts` must say false.',
      'Then run: rm -rf node_modules, and the same command again.',
    ]);
  writeStamp();
  return { found: 'installed' };
}
