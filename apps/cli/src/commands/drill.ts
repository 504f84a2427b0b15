import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { CommandError, Finding } from '../exit-codes';
import { wholeNumber } from '../pairs';
import { offline } from '../run';

const program = join(import.meta.dirname, '../../deploy/local/drill-dr.js');

/** Rehearsals in sites of their own: nothing of this installation is touched. */
export function drillCommands(commands: Command): void {
  const drill = commands.command('drill').description('rehearsals in a scratch site of their own');
  drill
    .command('dr')
    .description(
      'a site with many keys is backed up and lost, another with new tokens is restored, every key proven; exit 1 when something is not as it must be',
    )
    .option('--keys <n>', 'of all kinds', '50')
    .option('--workers <n>', 'crypto-workers of each site', '1')
    .option('--out <folder>', 'for drill-dr.md and drill-dr.json', '.')
    .action(
      offline<{ keys: string; workers: string; out: string }>(async ({ options }) => {
        if (!existsSync(program))
          throw new CommandError(
            'configuration',
            'The drill starts its sites from a checkout',
            'node tools/build.mjs deploy/local/drill-dr.ts',
          );
        const [keys, workers] = [wholeNumber('--keys', options.keys), wholeNumber('--workers', options.workers)];
        const child = spawn(process.execPath, [program, '--keys', String(keys), '--workers', String(workers), '--out', options.out], {
          stdio: ['ignore', 'inherit', 'inherit'],
        });
        const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('exit', resolve));
        if (code === 1) throw new Finding('The drill found something that is not as it must be');
        if (code !== 0) throw new CommandError(code === 64 ? 'usage' : 'failed', `The drill ended with ${code ?? 'a signal'}`);
      }),
    );
}
