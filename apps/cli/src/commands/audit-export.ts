import { appendFileSync, closeSync, fsyncSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '@claviger/client';
import { ClavigerError } from '@claviger/client';
import type { Command } from 'commander';
import { writePrivately } from '../files';
import { gathered, keysMeant } from '../key-pages';
import type { Output } from '../output';
import { wholeNumber } from '../pairs';
import { online } from '../run';
import { leafFilesIn, leavesFile, ledgerOf } from '../simulation/ledger-source';

/** A copy of the ledger's leaves on disk, to look at without asking a server. */
export function exportCommand(audit: Command): void {
  audit
    .command('export <folder>')
    .description(
      'write the leaves of the ledger into a folder, one a line as they were hashed, and the keys that you may list; goes on where it stopped',
    )
    .option('--days <n>', 'of the last so many days only (default: all)')
    .action(
      online<{ days?: string }, [string]>(async ({ client, options, output }, folder) => {
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        const days = wholeNumber('--days', options.days);
        const source = ledgerOf(client);
        const begin = continued(folder) ?? (days === undefined ? 0 : await source.indexAt(Date.now() - days * 86_400_000));
        let written = 0;
        for await (const { from, lines, size } of source.pages(begin)) {
          append(join(folder, leavesFile(from)), lines);
          written += lines.length;
          output.progress(`${from + lines.length} of ${size} leaves`);
        }
        output.progress(undefined);
        const keys = await keysOf(client, output);
        if (keys) writePrivately(join(folder, 'keys.json'), JSON.stringify(keys));
        output.fields(
          { folder, from: begin, written, keys: keys?.length },
          { folder, 'first leaf': begin, 'leaves written': written, keys: keys?.length ?? 'not listed' },
        );
      }),
    );
}

/** A page is one file, complete or without its last line's end: then it is written again. */
function continued(folder: string): number | undefined {
  const last = leafFilesIn(folder).at(-1);
  if (!last) return undefined;
  const text = readFileSync(last.file, 'utf8');
  return text.endsWith('\n') ? last.firstIndex + text.split('\n').length - 1 : last.firstIndex;
}

function append(file: string, lines: readonly string[]): void {
  const opened = openSync(file, 'w', 0o600);
  try {
    appendFileSync(opened, lines.map((line) => `${line}\n`).join(''));
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}

async function keysOf(client: Client, output: Output) {
  try {
    return await gathered(keysMeant(client));
  } catch (error) {
    if (!(error instanceof ClavigerError && error.code === 'ERR_ACCESS_DENIED')) throw error;
    output.note('keys.json is not written: you may not list keys');
    return undefined;
  }
}
