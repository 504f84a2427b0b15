import type { BackupPart } from '@claviger/contracts';
import type { z } from 'zod';
import { BackupDamaged } from './backup-error';
import type { BackupLine } from './read-backup';

/** The longest line of an entry: a key with as many versions as fit its record, and what stands beside it. */
const entryBytesMax = 4 * 1_048_576;

/**
 * The entries of these parts, put together from the chunks as `open` gives them; other chunks are verified and passed over. The manifest has been
 * verified when it ends.
 * @throws BackupDamaged, and what `open` throws
 */
export async function* entriesOf<S extends z.ZodType>(
  lines: AsyncIterable<BackupLine>,
  parts: readonly BackupPart[],
  open: (n: number, sealed: string) => Promise<Buffer>,
  schema: S,
): AsyncGenerator<z.output<S>> {
  let rest = Buffer.alloc(0);
  let before: BackupPart | undefined;
  for await (const line of lines) {
    if (line.kind !== 'chunk') continue;
    const { n, part, sealed } = line.chunk;
    if (part !== before && rest.length > 0) throw new BackupDamaged('the part before it ends within an entry', n);
    before = part;
    if (!parts.includes(part)) continue;
    const bytes = Buffer.concat([rest, await open(n, sealed)]);
    let from = 0;
    for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, from)) {
      yield parsed(schema, bytes.toString('utf8', from, end), n);
      from = end + 1;
    }
    rest = bytes.subarray(from);
    if (rest.length > entryBytesMax) throw new BackupDamaged('an entry without end', n);
  }
  if (rest.length > 0) throw new BackupDamaged('the last entry has no end');
}

function parsed<S extends z.ZodType>(schema: S, text: string, n: number): z.output<S> {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new BackupDamaged('it holds an entry that cannot be read', n, { cause });
  }
}
