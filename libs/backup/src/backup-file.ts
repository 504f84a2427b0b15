import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { BackupDamaged } from './backup-error';

/** Longer than any line: a chunk of 64 KiB in base64url, twice, and its signature. */
const lineBytesMax = 262_144;
const highWaterMark = 262_144;

/** A file that gets its name only when all of it is on the disk. */
export class BackupFile {
  private bytes = 0;

  private constructor(
    private readonly handle: FileHandle,
    private readonly partial: string,
    readonly path: string,
  ) {}

  /** What an interrupted run left under the same name is written over. */
  static async create(folder: string, name: string): Promise<BackupFile> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, name);
    const partial = `${path}.partial`;
    return new BackupFile(await open(partial, 'w', 0o600), partial, path);
  }

  async write(line: string): Promise<void> {
    const bytes = Buffer.from(`${line}\n`);
    await this.handle.writeFile(bytes);
    this.bytes += bytes.length;
  }

  /** @returns its length in bytes */
  async finish(): Promise<number> {
    await this.handle.sync();
    await this.handle.close();
    await rename(this.partial, this.path);
    const folder = await open(dirname(this.path), 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
    return this.bytes;
  }

  async abandon(): Promise<void> {
    await this.handle.close().catch(() => undefined);
    await rm(this.partial, { force: true });
  }
}

/** The lines of a file, one in memory at a time. @throws BackupDamaged for one that is longer than any line of a backup; ENOENT and the like */
export async function* linesOf(path: string): AsyncGenerator<string> {
  let rest = '';
  for await (const part of createReadStream(path, { encoding: 'utf8', highWaterMark })) {
    const lines = (rest + String(part)).split('\n');
    rest = lines.pop() as string;
    if (rest.length > lineBytesMax || lines.some((line) => line.length > lineBytesMax)) throw new BackupDamaged('a line that is too long');
    yield* lines;
  }
  if (rest !== '') yield rest;
}
