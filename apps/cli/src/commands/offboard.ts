import type { Command } from 'commander';
import { Finding } from '../exit-codes';
import { handOver } from '../key-handover';
import { gathered, keysMeant } from '../key-pages';
import { online } from '../run';

/** Somebody leaves. */
export function offboardCommand(access: Command): void {
  access
    .command('offboard <principal>')
    .description(
      'disable somebody, end sessions, take roles, groups and grants, and hand over what they own; run again, it goes on where it ended',
    )
    .option('--to <principal>', 'the person who owns their keys and answers for their service accounts from now on')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .action(
      online<{ to?: string; reason: string }, [string]>(async ({ client, options: { to, reason }, output }, principal) => {
        const left = await client.access.offboard({ principal, reason, ...(to === undefined ? {} : { to }) });
        output.note(
          left.changed ? `${principal} is disabled by revision ${left.revision} of the policies` : `${principal} was disabled already`,
        );
        const keys = to === undefined ? await stillOwned() : await handedOver(to);
        const services = left.servicesOwned;
        const { receipt: _, ...shown } = left;
        output.fields(
          { ...shown, keys },
          {
            principal,
            'roles taken': left.roles.join(', ') || 'none',
            'groups left': left.groups.join(', ') || 'none',
            'grants ended': left.grants.join(', ') || 'none',
            'sessions ended': left.sessionsEnded,
            'keys handed over': keys.handedOver,
            'service accounts handed over': left.servicesHandedOver.join(', ') || 'none',
            ...(keys.left.length > 0 ? { 'keys still owned': keys.left.join(', ') } : {}),
            ...(services.length > 0 ? { 'service accounts still owned': services.join(', ') } : {}),
          },
        );
        if (keys.left.length + services.length > 0) {
          output.note(to === undefined ? 'name who takes them with --to' : 'the notes above say why these keys were not handed over');
          throw new Finding();
        }

        async function stillOwned() {
          const owned = await gathered(keysMeant(client, { owner: principal }));
          const live = owned.filter(({ versions }) => versions.some(({ state }) => state !== 'destroyed'));
          return { handedOver: 0, left: live.map(({ keyId }) => keyId) };
        }
        async function handedOver(heir: string) {
          const kept: string[] = [];
          let given = 0;
          try {
            for await (const one of handOver(client, principal, heir, reason)) {
              if (one.outcome === 'handed-over') given++;
              else {
                kept.push(one.keyId);
                output.note(`${one.keyId} (${one.name}) is not handed over: ${one.detail}`);
              }
              output.progress(`${given} keys handed over, ${kept.length} refused`);
            }
          } finally {
            output.progress(undefined);
          }
          return { handedOver: given, left: kept };
        }
      }),
    );
}
