import type { ChangeDescription } from '@claviger/contracts';

export type ShownChange = ChangeDescription & { input: Record<string, unknown> };

/** What exactly is asked for, for the person who is about to approve it. */
export function changeLines(change: ShownChange): string[] {
  const { approvals, quorum, approvers, ended } = change;
  return [
    `change      ${change.change} (${change.state})`,
    `requester   ${change.requester}`,
    `reason      ${change.reason}`,
    `operation   ${change.operation}`,
    ...inputLines(change.input),
    `approval    ${quorum} of ${approvers.join(' or ')}, none of them ${change.requester}`,
    `approved by ${approvals.map(({ approver, at, by }) => `${approver} (${at}, ${by})`).join(', ') || 'nobody yet'}`,
    `requested   ${change.requestedAt}`,
    `expires     ${change.expiresAt}`,
    ...(ended
      ? [
          `ended       ${change.state} by ${ended.by} at ${ended.at}${ended.reason ? `: ${ended.reason}` : ''}${ended.code ? ` (${ended.code})` : ''}`,
        ]
      : []),
  ];
}

/** Every value that is in it, one a line: what is not shown would be approved unseen. */
function inputLines(input: unknown, path = ''): string[] {
  if (typeof input === 'object' && input !== null && Object.keys(input).length > 0)
    return Object.entries(input).flatMap(([name, value]) => inputLines(value, path === '' ? name : `${path}.${name}`));
  return `${typeof input === 'string' ? input : JSON.stringify(input)}`
    .split('\n')
    .map((line, i) => (i === 0 ? `  ${path} = ${line}` : `    ${line}`));
}

/** What to do next, by state. */
export function nextStep({ change, state, quorum, approvers, approvals, requester }: ChangeDescription): string {
  switch (state) {
    case 'requested':
      return `${approvals.length} of ${quorum} approved it. Others who are ${approvers.join(' or ')}: claviger changes approve ${change}`;
    case 'approved':
      return `${requester} can have it done: claviger changes execute ${change}`;
    case 'executing':
      return 'A service has begun it and not said how it ended; it does not do it twice. The ledger has what was done: claviger audit query';
    default:
      return `It is over (${state}).`;
  }
}
