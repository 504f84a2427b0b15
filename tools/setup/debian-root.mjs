// Unpacks packages of a newer Debian into a folder, without installing them: no root rights, no mounts, no package scripts; apt checks the signatures.
import { existsSync } from 'node:fs';
import { aptInstall, canInstall } from './apt.mjs';
import { onPath } from './on-path.mjs';
import { mustRun } from './run-command.mjs';
import { makeWhole } from './whole-file.mjs';

const SUITE = 'forky';

/** Unpacks `packages` and what they depend on into `folder`; `finish(folder)` may complete it before it counts as there. False where this machine cannot. */
export async function extractDebian(folder, packages, say, finish = async () => {}) {
  if (process.platform !== 'linux') return false;
  const needed = [];
  if (!onPath('mmdebstrap')) needed.push('mmdebstrap');
  if (!existsSync('/usr/share/keyrings/debian-archive-keyring.gpg')) needed.push('debian-archive-keyring');
  if (needed.length > 0) {
    if (!(await canInstall())) return false;
    await aptInstall(needed, say);
  }
  await makeWhole(folder, async (path) => {
    say(`unpacking ${packages.join(', ')} of Debian ${SUITE}`);
    await mustRun(
      onPath('mmdebstrap'),
      [
        '--variant=extract',
        '--mode=chrootless',
        // A mirror's copy of a testing suite may be some days old.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        '--dpkgopt=path-exclude=/usr/share/doc/*',
        '--dpkgopt=path-exclude=/usr/share/man/*',
        '--dpkgopt=path-exclude=/usr/share/locale/*',
        `--include=${packages.join(',')}`,
        SUITE,
        path,
      ],
      {
        what: 'mmdebstrap',
        timeoutMs: 1_200_000,
        todo: ["Debian's packages must be reachable for this step. Run the same command again to resume."],
      },
    );
    await finish(path);
  });
  return true;
}
