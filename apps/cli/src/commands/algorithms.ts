import { Algorithm, algorithms } from '@claviger/contracts';
import type { Command } from 'commander';
import { offline } from '../run';

/** The table of the contract; no connection is needed. Whether a token can do an algorithm is seen when a key is made. */
export function algorithmsCommand(program: Command): void {
  program
    .command('algorithms')
    .description('what a key can be: usages, JOSE names, strength, and until when NIST lets it protect')
    .action(
      offline(({ output }) => {
        const rows = Algorithm.options.map((name) => ({ algorithm: name, ...algorithms[name] }));
        output.table(rows, rows, [
          { title: 'ALGORITHM', value: ({ algorithm }) => algorithm },
          { title: 'USAGES', value: ({ usages }) => Object.keys(usages).join(',') },
          { title: 'JOSE', value: ({ usages }) => Object.values(usages).flat().join(',') },
          { title: 'STRENGTH', value: ({ strengthBits }) => `${strengthBits} bits` },
          { title: 'NIST UNTIL', value: ({ protectUntil }) => protectUntil ?? 'no end set' },
          { title: 'CNSA 2.0', value: ({ cnsa2 }) => (cnsa2 ? 'yes' : 'no') },
        ]);
      }),
    );
}
