import type { Client } from '@claviger/client';
import type { Command } from 'commander';
import { online } from '../run';

type Guard = Awaited<ReturnType<Client['policy']['listGuards']>>['guards'][number];

export function guardsCommand(policy: Command): void {
  policy
    .command('guards')
    .description('policies that ask for the approval of others, and whether people enough could give it')
    .action(
      online(async ({ client, output }) => {
        const shown = await client.policy.listGuards();
        output.table(shown, shown.guards, [
          { title: 'POLICY', value: (g) => g.policy },
          { title: 'QUORUM', value: (g) => String(g.quorum) },
          { title: 'APPROVERS', value: (g) => g.approvers.join(', ') },
          { title: 'COULD APPROVE', value: (g) => String(g.able) },
          { title: 'HOLDS', value: (g) => (g.holds ? 'yes' : 'NO') },
        ]);
        for (const line of weakLines(shown.guards)) output.note(line);
      }),
    );
}

/** What one person could do while approvers are missing, and how that ends; nothing when every guard holds. */
export function weakLines(guards: readonly Guard[]): string[] {
  const weak = guards.filter(({ holds }) => !holds);
  if (weak.length === 0) return [];
  return [
    `WARNING: ${weak.length} of ${guards.length} policies that ask for approval DO NOT HOLD: whoever publishes policies may change them ALONE.`,
    ...weak.map(
      ({ policy, quorum, approvers, able }) => `  ${policy}: ${able} could approve, of ${quorum} who are ${approvers.join(' or ')}`,
    ),
    'Enrol keys of that many people, and one more who requests: claviger approvals webauthn PERSON',
  ];
}
