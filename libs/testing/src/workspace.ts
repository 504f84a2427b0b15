import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** The checkout that this code runs in, from its source and from a bundle in dist/ alike. */
export function workspaceRoot(from = import.meta.dirname): string {
  for (let folder = from; folder !== dirname(folder); folder = dirname(folder)) if (existsSync(join(folder, 'nx.json'))) return folder;
  throw new Error(`no nx.json above ${from}`);
}

export interface TemporaryFolder {
  readonly path: string;
  remove(): Promise<void>;
}

/** A fresh folder under .claviger/tmp. Its name holds our pid, so that the next set-up removes it should we be killed. */
export async function temporaryFolder(name: string): Promise<TemporaryFolder> {
  const path = join(workspaceRoot(), '.claviger', 'tmp', `${name}-${process.pid}-${randomBytes(4).toString('hex')}`);
  await mkdir(path, { recursive: true });
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}
