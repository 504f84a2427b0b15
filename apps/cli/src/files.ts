import { createReadStream, createWriteStream, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CommandError } from './exit-codes';

/** `-` and nothing mean standard input. */
const isStandard = (path: string | undefined): path is undefined => path === undefined || path === '-';

const unreadable = (path: string, error: unknown) =>
  new CommandError(
    'badInput',
    `${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`,
    'Check its name, and that you may read it.',
  );

export async function readBytes(path: string | undefined): Promise<Uint8Array> {
  if (!isStandard(path)) return readFile(path).catch((error) => Promise.reject(unreadable(path, error)));
  const parts: Uint8Array[] = [];
  for await (const part of process.stdin) parts.push(part as Uint8Array);
  return Buffer.concat(parts);
}

export const readText = async (path: string | undefined): Promise<string> =>
  Buffer.from(await readBytes(path))
    .toString('utf8')
    .trim();

export async function readStream(path: string | undefined): Promise<AsyncIterable<Uint8Array>> {
  if (isStandard(path)) return process.stdin;
  const handle = await open(path).catch((error) => Promise.reject(unreadable(path, error)));
  return createReadStream('', { fd: handle, highWaterMark: 256 * 1_024 });
}

/**
 * Writes a file that only its owner can read, and puts it in its place only when all of it is there: what was not proved to its end never
 * gets the name.
 */
export async function writeWhole(path: string, source: AsyncIterable<Uint8Array>): Promise<void> {
  const partial = `${path}.${process.pid}.partial`;
  try {
    await pipeline(Readable.from(source, { objectMode: false }), createWriteStream(partial, { mode: 0o600, flags: 'wx' }));
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    if (error instanceof Error && 'syscall' in error && String((error as NodeJS.ErrnoException).path).endsWith('.partial'))
      throw new CommandError('badInput', `${path} cannot be written (${(error as NodeJS.ErrnoException).code})`);
    throw error;
  }
}

/** For what this program remembers: whole or not at all, in folders that it makes. */
export function writePrivately(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const partial = `${path}.${process.pid}.partial`;
  writeFileSync(partial, text, { mode: 0o600 });
  renameSync(partial, path);
}

export const writeBytes = (path: string, bytes: Uint8Array): Promise<void> => writeWhole(path, once(bytes));

async function* once(bytes: Uint8Array) {
  yield bytes;
}

/** To standard output, without closing it. */
export const toStandardOutput = (source: AsyncIterable<Uint8Array>): Promise<void> =>
  pipeline(Readable.from(source, { objectMode: false }), process.stdout, { end: false });

export interface SecretTarget {
  out?: string;
  reveal?: boolean;
}

/** Secrets go to a file of the caller's own, or to the screen when that was asked for. @throws CommandError */
export function assertTarget({ out, reveal }: SecretTarget): void {
  if (out === undefined && !reveal)
    throw new CommandError('usage', 'The result is secret and is not printed by default', 'Give --out FILE, or --reveal to print it.');
}
