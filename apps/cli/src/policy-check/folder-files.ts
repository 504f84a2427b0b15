import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PolicyBundle } from '@claviger/contracts';
import { CommandError } from '../exit-codes';
import { readPolicyFolder } from '../policy-folder';

const suffix = '.cedar-test.yaml';

/** Content of every `*.cedar-test.yaml` in the folder and below, by its path from here. @throws CommandError */
export function testFilesIn(folder: string): ReadonlyMap<string, string> {
  try {
    const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith(suffix))
      .sort();
    return new Map(names.map((name) => [join(folder, name), readFileSync(join(folder, name), 'utf8')]));
  } catch (error) {
    throw new CommandError('badInput', `${folder}: tests cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
  }
}

/** A baseline: a folder, or a file as `claviger policy show --json` writes it. @throws CommandError */
export function readBundle(path: string, now: Date): PolicyBundle {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const content = isFolder ? readPolicyFolder(path, now) : jsonIn(path);
  const parsed = PolicyBundle.safeParse((content as { bundle?: unknown }).bundle ?? content);
  if (parsed.success) return parsed.data;
  const { path: where, message } = parsed.error.issues[0]!;
  throw new CommandError('badInput', `${path} is no policy bundle: ${where.join('.')}: ${message}`);
}

function jsonIn(path: string): unknown {
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch (error) {
    throw new CommandError('badInput', `${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
  }
  try {
    return JSON.parse(content) ?? {};
  } catch {
    throw new CommandError('badInput', `${path} is not JSON`);
  }
}
