// A Go toolchain, for the two servers that a machine may have to build. Debian 12's own is too old, so without one on PATH we unpack a newer Debian's:
// it is static, needs neither root nor chroot, and is deleted again with its caches once the binary exists.

import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { extractDebian } from './debian-root.mjs';
import { atLeast, onPath, versionIn } from './on-path.mjs';
import { cache } from './paths.mjs';
import { mustRun, run } from './run-command.mjs';
import { makeWhole } from './whole-file.mjs';

/** From 1.26 on a toolchain builds both; from 1.21 on it fetches the one that a module asks for, unless told not to. */
const MINIMUM = [1, 26];
const FETCHING = [1, 21];
const unpacked = join(cache, 'go');
const workspace = join(cache, 'go-workspace');

/** @returns {Promise<{ path: string, ours: boolean } | undefined>} */
export async function findGo(say) {
  const path = onPath('go');
  if (path) {
    const version = versionIn((await run(path, ['env', 'GOVERSION'])).stdout);
    const fetches = (await run(path, ['env', 'GOTOOLCHAIN'])).stdout.trim() !== 'local';
    if (atLeast(version, MINIMUM) || (fetches && atLeast(version, FETCHING))) return { path, ours: false };
  }
  const ours = { path: join(unpacked, 'usr/lib/go/bin/go'), ours: true };
  if (existsSync(ours.path)) return ours;
  if (!(await extractDebian(unpacked, ['golang-go'], say))) return undefined;
  return ours;
}

/** `go install` of a module into exactly `target`; static, so that it also runs in an image made from scratch. */
export async function goInstall(go, module, name, target) {
  const gobin = join(workspace, 'bin');
  await mkdir(gobin, { recursive: true });
  const caches = go.ours
    ? { GOPATH: join(workspace, 'path'), GOCACHE: join(workspace, 'build'), GOFLAGS: '-modcacherw -buildvcs=false' }
    : {};
  await mustRun(go.path, ['install', '-trimpath', '-ldflags=-s -w', module], {
    env: { ...process.env, CGO_ENABLED: '0', GOBIN: gobin, ...caches },
    what: `go install ${module}`,
    timeoutMs: 1_800_000,
    todo: ['The Go module proxy must be reachable for this step. Run the same command again to resume.'],
  });
  await makeWhole(target, async (path) => {
    await copyFile(join(gobin, name), path);
    await chmod(path, 0o755);
  });
  await rm(workspace, { recursive: true, force: true });
  if (go.ours) await rm(unpacked, { recursive: true, force: true });
}
