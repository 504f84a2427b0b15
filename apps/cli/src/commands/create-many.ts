import type { Command } from 'commander';
import { createMany, type Made } from '../create-many';
import { Finding } from '../exit-codes';
import { readStream } from '../files';
import { online } from '../run';
import { wantedKeys } from '../wanted-keys';

/** Many keys from a file, or from another program. */
export function createManyCommand(keys: Command): void {
  keys
    .command('create-many')
    .description('generate many keys, one JSON object a line with the fields of keys.create; run again, it goes on where it ended')
    .option('--file <file>', 'default: standard input')
    .action(
      online<{ file?: string }>(async ({ client, options: { file }, output }) => {
        const count = { created: 0, exists: 0, refused: 0 };
        const since = performance.now();
        const told = () => {
          const rate = Math.round((count.created * 1_000) / (performance.now() - since));
          return `${count.created} created (${rate}/s), ${count.exists} there already, ${count.refused} refused`;
        };
        try {
          for await (const made of createMany(client, wantedKeys(await readStream(file)))) {
            for (const one of made) {
              count[one.outcome]++;
              output.event(one, textOf(one));
            }
            output.progress(told());
          }
        } finally {
          output.progress(undefined);
          output.note(told());
        }
        if (count.refused > 0) throw new Finding();
      }),
    );
}

function textOf(made: Made): string {
  if (made.outcome !== 'refused') return `${made.keyId}  ${made.name}  ${made.outcome}`;
  const { code, detail } = made.problem;
  return `-  ${made.name}  line ${made.line}: ${code}: ${detail}`;
}
