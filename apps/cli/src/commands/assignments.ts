import { type Assignment, assignmentsOf, type Period, pathText, rolesGiven } from '@claviger/authz';
import type { Command } from 'commander';
import { online } from '../run';

/** Who has what, and by which way. */
export function assignmentsCommand(policy: Command): void {
  policy
    .command('assignments')
    .description('who has what by the bundle in force: own roles, groups in groups, and grants')
    .option('--of <principal>')
    .option('--role <role>', 'those that give this role')
    .option('--group <tenant/id>', 'those in this group, also through member groups')
    .action(
      online<{ of?: string; role?: string; group?: string }>(async ({ client, options, output }) => {
        const { bundle } = await client.policy.show();
        const disabled = new Set(bundle.principals.filter((principal) => principal.disabled).map(({ id }) => id));
        const found = assignmentsOf(bundle).filter(
          (assignment) =>
            (options.of === undefined || assignment.principal === options.of) &&
            (options.role === undefined || rolesGiven(assignment).includes(options.role)) &&
            (options.group === undefined || (assignment.kind === 'group' && assignment.groups.includes(options.group))),
        );
        output.table(
          found.map((assignment) => ({
            ...assignment,
            period: periodJson(assignment.period),
            disabled: disabled.has(assignment.principal),
            by: pathText(assignment),
          })),
          found,
          [
            { title: 'PRINCIPAL', value: ({ principal }) => `${principal}${disabled.has(principal) ? ' (disabled)' : ''}` },
            { title: 'HAS', value: assignmentText },
            { title: 'BY', value: pathText },
          ],
        );
      }),
    );
}

/** What an assignment gives, in a line. */
export function assignmentText(assignment: Assignment): string {
  if (assignment.kind === 'key-grant') return `${assignment.action} of ${assignment.key}`;
  return rolesGiven(assignment).join(', ') || 'no role';
}

/** JSON knows no infinity. */
const periodJson = ({ fromMs, untilMs }: Period) => ({
  ...(Number.isFinite(fromMs) ? { from: new Date(fromMs).toISOString() } : {}),
  ...(Number.isFinite(untilMs) ? { until: new Date(untilMs).toISOString() } : {}),
});
