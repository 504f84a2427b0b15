import { createReadStream, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Client } from '@claviger/client';
import { CommandError } from '../exit-codes';

/** Leaves of the ledger, as they were hashed, from one index on. */
export interface LedgerSource {
  /** Index of the first leaf of a time (ms) or later, or of one before it. */
  indexAt(timeMs: number): Promise<number>;
  /** Pages in order, each with the index of its first leaf, and how many leaves there are. */
  pages(from: number): AsyncGenerator<{ readonly from: number; readonly lines: readonly string[]; readonly size: number | undefined }>;
}

export const ledgerOf = (client: Client): LedgerSource => ({
  indexAt: async (timeMs) => {
    const { records } = await client.audit.query({ to: new Date(timeMs).toISOString(), limit: 1 });
    return records[0] === undefined ? 0 : records[0].index;
  },
  pages: async function* (first) {
    for (let from = first; ; ) {
      const { lines, size } = await client.audit.entries({ from, limit: 1_000 });
      if (lines.length === 0) return;
      yield { from, lines, size };
      from += lines.length;
      if (from >= size) return;
    }
  },
});

const filePattern = /^leaves-(\d{12})\.jsonl$/;
export const leavesFile = (firstIndex: number): string => `leaves-${String(firstIndex).padStart(12, '0')}.jsonl`;

/** The files of an export, in order, each with the index of its first leaf. */
export function leafFilesIn(folder: string): { file: string; firstIndex: number }[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    throw new CommandError('badInput', `${folder} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
  }
  return names
    .flatMap((name) => {
      const [, index] = filePattern.exec(name) ?? [];
      return index === undefined ? [] : [{ file: join(folder, name), firstIndex: Number(index) }];
    })
    .sort((a, b) => a.firstIndex - b.firstIndex);
}

const pageLines = 2_000;

/** What `claviger audit export` wrote: read from its beginning, since only reading tells where a time is. */
export function ledgerIn(folder: string): LedgerSource {
  const files = leafFilesIn(folder);
  if (files.length === 0)
    throw new CommandError('badInput', `${folder} holds no leaves-….jsonl`, 'Make one: claviger audit export FOLDER.');
  return {
    indexAt: async () => files[0]!.firstIndex,
    pages: async function* (from) {
      for (const [at, { file, firstIndex }] of files.entries()) {
        if ((files[at + 1]?.firstIndex ?? Number.POSITIVE_INFINITY) <= from) continue;
        let index = firstIndex;
        let lines: string[] = [];
        for await (const line of createInterface({
          input: createReadStream(file, { highWaterMark: 1_048_576 }),
          crlfDelay: Number.POSITIVE_INFINITY,
        })) {
          if (index >= from) lines.push(line);
          index += 1;
          if (lines.length < pageLines) continue;
          yield { from: index - lines.length, lines, size: undefined };
          lines = [];
        }
        if (lines.length > 0) yield { from: index - lines.length, lines, size: undefined };
      }
    },
  };
}
