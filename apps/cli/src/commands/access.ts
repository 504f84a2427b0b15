import type { Command } from 'commander';
import { assertTarget, type SecretTarget, writeBytes } from '../files';
import { wholeNumber } from '../pairs';
import { online } from '../run';
import { accessGovernanceCommands } from './access-governance';
import { offboardCommand } from './offboard';
import { staleAccessCommand } from './stale-access';

/** Tokens and sessions. */
export function accessCommands(program: Command): void {
  const access = program.command('access').description('tokens, sessions, and who answers for services, people who leave');
  offboardCommand(access);
  staleAccessCommand(access);
  accessGovernanceCommands(access);
  access
    .command('issue-token')
    .description('a token for yourself (renewal, until your authentication is too old), or for another principal where policy allows')
    .option('--for <principal>')
    .option('--lifetime-seconds <n>', '10 to 900', '900')
    .option('--audience <name>', 'a JWT that tells somebody else who you are; it admits nobody to Claviger')
    .option('--out <file>', 'written for your eyes only; replaces the file')
    .option('--reveal', 'print it')
    .action(
      online<SecretTarget & { for?: string; lifetimeSeconds: string; audience?: string }>(async ({ client, options, output }) => {
        assertTarget(options);
        const lifetimeSeconds = wholeNumber('--lifetime-seconds', options.lifetimeSeconds);
        const issued = await client.access.issueToken({
          ...(options.for ? { principal: options.for } : {}),
          ...(options.audience === undefined ? {} : { audience: options.audience }),
          lifetimeSeconds,
        });
        const { token, ...rest } = issued;
        if (options.out === undefined) return output.text(issued, token);
        await writeBytes(options.out, Buffer.from(`${token}\n`));
        output.fields(rest, { principal: rest.principal, 'expires at': rest.expiresAt, file: options.out });
      }),
    );
  access
    .command('sessions')
    .description('live sessions')
    .option('--of <principal>')
    .action(
      online<{ of?: string }>(async ({ client, options, output }) => {
        const { sessions } = await client.access.listSessions(options.of ? { principal: options.of } : {});
        output.table(sessions, sessions, [
          { title: 'SESSION', value: (s) => s.session },
          { title: 'PRINCIPAL', value: (s) => s.principal },
          { title: 'METHOD', value: (s) => s.method },
          { title: 'MFA', value: (s) => (s.mfa ? 'yes' : 'no') },
          { title: 'ACR', value: (s) => s.acr ?? '' },
          { title: 'STATE', value: (s) => s.state },
          { title: 'EXPIRES', value: (s) => s.expiresAt },
          { title: 'AUTHENTICATED', value: (s) => s.authTime },
          { title: 'CHAIN', value: (s) => s.chain.slice(0, 8) },
        ]);
      }),
    );
  access
    .command('revoke-session <session>')
    .description(
      'end a session and everything else that came from the same authentication: its tokens, its other sessions, their connections',
    )
    .requiredOption('--reason <text>', 'goes into the ledger')
    .action(
      online<{ reason: string }, [string]>(async ({ client, options: { reason }, output }, session) => {
        const revoked = await client.access.revokeSession({ session, reason });
        output.fields(revoked, { session: revoked.session, revoked: 'yes' });
      }),
    );
}
