import { realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { CommandError } from './exit-codes';

/** Two results with one name would leave only the second. Before anything is asked, since what was made could not be told any more. @throws CommandError */
export function assertDistinctOutputs(command: Command): void {
  const flagAt = new Map<string, string>();
  for (const option of command.options) {
    const flag = option.long ?? '';
    const path: unknown = command.getOptionValue(option.attributeName());
    if (!/-out$/.test(flag) || typeof path !== 'string') continue;
    const place = placeOf(path);
    const other = flagAt.get(place);
    if (other) throw new CommandError('usage', `${other} and ${flag} name the same file`, 'Give each result a file of its own.');
    flagAt.set(place, flag);
  }
}

/** A link under the name itself is another file: what is written replaces it. */
function placeOf(path: string): string {
  try {
    return join(realpathSync(dirname(path)), basename(path));
  } catch {
    return resolve(path);
  }
}
