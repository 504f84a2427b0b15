import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { readBounded } from '../discovery/bounded-file';
import { CommandError } from '../exit-codes';
import { CloudSite, siteName } from './site';
import { jsonAs } from './strict-json';

/** Of one file: tens of thousands of keys. */
const bytesMost = 64 * 1_048_576;
const filesMost = 10_000;
const root = ['cloud', 'aws-kms'] as const;

export interface CommittedSite {
  readonly file: string;
  readonly site: CloudSite;
  readonly text: string;
}
export interface SiteProblem {
  readonly file: string;
  readonly why: string;
}

/** Every connected account and region: what stands below `cloud/` of the folder. Files that are no such thing are told, not passed over. */
export async function committedSites(folder: string): Promise<{ sites: CommittedSite[]; problems: SiteProblem[] }> {
  const sites: CommittedSite[] = [];
  const problems: SiteProblem[] = [];
  for (const file of filesBelow(folder)) {
    const read = await readSite(folder, file);
    if ('why' in read) problems.push(read);
    else sites.push(read);
  }
  return { sites, problems };
}

/** The same, of a folder in which all of them must be good. @throws CommandError */
export async function goodSites(folder: string): Promise<CommittedSite[]> {
  const { sites, problems } = await committedSites(folder);
  if (problems.length === 0) return sites;
  throw new CommandError(
    'badInput',
    problems.map(({ file, why }) => `${file}: ${why}`).join('; '),
    'claviger policy drift FOLDER --aws-kms REGION --write writes it anew.',
  );
}

function filesBelow(folder: string): string[] {
  const top = join(folder, root[0]);
  try {
    const names = readdirSync(top, { recursive: true, withFileTypes: true }).filter(
      (entry) => !entry.isDirectory() && !entry.name.startsWith('.') && !entry.name.endsWith('.md'),
    );
    if (names.length > filesMost) throw new CommandError('badInput', `${top} holds more than ${filesMost} files`);
    return names.map((entry) => join(entry.parentPath, entry.name)).sort();
  } catch (error) {
    if (error instanceof CommandError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    // A folder that is not there is no folder that connects nothing.
    if (code === 'ENOENT' && existsSync(folder)) return [];
    throw new CommandError('badInput', `${top} cannot be read (${code ?? 'error'})`);
  }
}

async function readSite(folder: string, file: string): Promise<CommittedSite | SiteProblem> {
  const read = await readBounded(file, bytesMost);
  if ('unseen' in read) return { file, why: `cannot be read (${read.unseen})` };
  const text = read.bytes.toString('utf8');
  const parsed = jsonAs(CloudSite, text);
  if (typeof parsed === 'string') return { file, why: parsed };
  const place = fileOf(folder, parsed.data);
  return place === file ? { file, site: parsed.data, text } : { file, why: `is about ${siteName(parsed.data)}: its place is ${place}` };
}

const fileOf = (folder: string, { account, region }: CloudSite): string => join(folder, ...root, account, `${region}.json`);

/** Whole or not at all, in the place of what was there. Who reviews it sees what changed. @throws CommandError */
export function writeSite(folder: string, site: CloudSite): string {
  const file = fileOf(folder, site);
  const text = `${JSON.stringify(site, null, 2)}\n`;
  if (Buffer.byteLength(text) > bytesMost) throw new CommandError('badInput', `${file} would be larger than ${bytesMost / 1_048_576} MiB`);
  // Hidden: one that is left over is no site.
  const partial = join(dirname(file), `.${basename(file)}.${process.pid}.partial`);
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(partial, text);
    renameSync(partial, file);
  } catch (error) {
    rmSync(partial, { force: true });
    throw new CommandError('badInput', `${file} cannot be written (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
  }
  return file;
}
