import type { Classification, Environment } from '@claviger/contracts';
import type { Command } from 'commander';
import { online } from '../run';
import { tellJob, type Watch, withWatch } from './jobs';

interface Reason {
  reason: string;
}

/** What wraps keys: key-encryption keys, and the root of the token above them. */
export function keksCommands(program: Command): void {
  const keks = program.command('keks').description('key-encryption keys and the root of the token: look, rotate, move to another token');
  keks
    .command('list')
    .description('key-encryption keys by environment and classification, with the root that each is under')
    .action(
      online<object>(async ({ client, output }) => {
        const [found, roots] = [(await client.keys.listKeks()).keks, (await client.keys.listRoots()).roots];
        output.table({ keks: found, roots }, found, [
          { title: 'KEK', value: ({ kekId }) => kekId },
          { title: 'STATE', value: ({ state }) => state },
          { title: 'REVISION', value: ({ revision }) => revision },
          { title: 'ROOT', value: ({ rootLabel }) => rootLabel },
          { title: 'TOKEN', value: ({ token }) => token },
          { title: 'FAMILY', value: ({ family }) => family },
          { title: 'CREATED', value: ({ createdAt }) => createdAt },
          { title: 'ENDED', value: ({ retiredAt, destroyedAt }) => destroyedAt ?? retiredAt },
        ]);
        for (const { label, token, state, keks: under } of roots)
          output.note(`${label}${token === undefined ? '' : ` in token ${token}`}: ${state}, ${under} key-encryption keys under it`);
      }),
    );
  const rotation = (name: string, summary: string): Command =>
    withWatch(keks.command(name).description(summary).requiredOption('--reason <text>', 'goes into the ledger'));
  rotation('rotate', 'make a new one and wrap every key under it, as a job; then the old one is destroyed')
    .requiredOption('--environment <environment>', 'development, staging or production')
    .requiredOption('--classification <classification>', 'public, internal, confidential or restricted')
    .action(
      online<Reason & Watch & { environment: string; classification: string }>(async ({ client, options, output }) => {
        const { environment, classification, reason } = options;
        const pair = { environment: environment as Environment, classification: classification as Classification };
        await tellJob(client, await client.keys.rotateKek({ ...pair, reason }), options, output);
      }),
    );
  rotation('rotate-root', 'make a new root in the token and wrap every key-encryption key under it, as a job; the old root stays').action(
    online<Reason & Watch>(async ({ client, options, output }) =>
      tellJob(client, await client.keys.rotateRoot({ reason: options.reason }), options, output),
    ),
  );
  rotation('migrate', 'make a root in another token and take every key there, as a job; keys are used meanwhile, and the old root stays')
    .requiredOption('--to-token <label>', 'of the token, which every crypto-worker must reach (FURTHER_TOKENS_FILE)')
    .action(
      online<Reason & Watch & { toToken: string }>(async ({ client, options: { toToken: token, reason, ...watch }, output }) =>
        tellJob(client, await client.keys.migrateToken({ token, reason }), watch, output),
      ),
    );
  keks
    .command('destroy-root <label>')
    .description('destroy a root that nothing is under any more; this cannot be undone')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .action(
      online<Reason, [string]>(async ({ client, options: { reason }, output }, label) => {
        const root = await client.keys.destroyRoot({ label, reason });
        output.fields(root, { root: root.label, state: root.state, destroyed: root.destroyedAt });
      }),
    );
}
