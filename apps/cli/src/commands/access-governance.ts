import type { Command } from 'commander';
import { online } from '../run';

/** Who gets in: keys that sign tokens, all sessions of a principal, service accounts and their owners. */
export function accessGovernanceCommands(access: Command): void {
  access
    .command('revoke-sessions <principal>')
    .description('end every session of a principal, and whatever it has authenticated with up to now; to lock it out, disable it')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .action(
      online<{ reason: string }, [string]>(async ({ client, options: { reason }, output }, principal) => {
        const revoked = await client.access.revokeSessions({ principal, reason });
        output.fields(revoked, { principal: revoked.principal, 'live sessions that ended': revoked.sessions });
      }),
    );
  access
    .command('jwks')
    .description('the public keys that tokens of Claviger verify with (JWK set); also GET /jwks on the health port of policy')
    .action(
      online(async ({ client, output }) => {
        const { keys, signing } = await client.access.jwks();
        output.text({ keys, signing }, JSON.stringify({ keys }, null, 2));
      }),
    );
  access
    .command('rotate-signing-key')
    .description('a new key signs tokens from five minutes on; those of the one before count until the last has ended')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .option('--compromised', 'it signs at once, nothing that was signed before counts, and sessions that came from tokens end')
    .action(
      online<{ reason: string; compromised?: boolean }>(async ({ client, options: { reason, compromised = false }, output }) => {
        const rotated = await client.access.rotateSigningKey({ reason, compromised });
        output.fields(rotated, {
          key: rotated.kid,
          'signs from': rotated.activeFrom,
          ...(compromised ? { withdrawn: rotated.withdrawn.join(', ') || 'none', 'sessions that ended': rotated.sessionsEnded } : {}),
        });
      }),
    );
  const accounts = access.command('service-accounts').description('services and who answers for them');
  accounts
    .command('list')
    .description('all, those of one owner, or those that nobody answers for')
    .option('--owner <who>', 'id of a person, or group:TENANT/ID')
    .option('--unowned', 'enabled ones without an owner, or whose owner has left')
    .action(
      online<{ owner?: string; unowned?: boolean }>(async ({ client, options: { owner, unowned = false }, output }) => {
        const { serviceAccounts, more } = await client.access.listServiceAccounts({ ...(owner === undefined ? {} : { owner }), unowned });
        output.table(serviceAccounts, serviceAccounts, [
          { title: 'SERVICE', value: (s) => s.principal },
          { title: 'OWNER', value: (s) => (s.ownership === 'gone' ? `${s.owner} (gone)` : (s.owner ?? 'none')) },
          { title: 'CONTACT', value: (s) => s.contact ?? '' },
          { title: 'STATE', value: (s) => (s.disabled ? 'disabled' : 'enabled') },
          { title: 'ROLES', value: (s) => s.roles.join(', ') },
          { title: 'BY', value: (s) => s.identities.join(', ') },
        ]);
        if (more) output.note('there are more: ask for those of an owner (--owner), or those without (--unowned)');
      }),
    );
}
