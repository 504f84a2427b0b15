import type { Client, OnApprovalRequired } from '@claviger/client';
import { changeLimits } from '@claviger/contracts';
import { ApprovalRequested, CommandError } from './exit-codes';
import { wholeNumber } from './pairs';

export interface ApprovalOptions {
  requestApproval?: string;
  expiresInHours?: string;
  change?: string;
}

/** What a command does where policy asks for the approval of others: goes on with the change that was approved, or requests one. */
export function approvalFlow(
  { requestApproval: reason, expiresInHours, change }: ApprovalOptions,
  client: () => Client,
): OnApprovalRequired {
  if (reason !== undefined && change !== undefined) throw new CommandError('usage', 'Give one of --request-approval and --change');
  return async ({ operation, input, error }) => {
    if (change !== undefined) return change;
    if (reason === undefined || !error.approval) return undefined;
    const hours = wholeNumber('--expires-in-hours', expiresInHours) ?? changeLimits.expiresHoursDefault;
    const { demand } = error.approval;
    const made = await client().changes.request({ operation, input, reason, expiresInHours: hours, demand });
    throw new ApprovalRequested(
      made.change,
      `requested as ${made.change}: ${made.quorum} of ${made.approvers.join(' or ')} have to approve it until ${made.expiresAt}`,
      `They: claviger changes approve ${made.change}. Then you: claviger changes execute ${made.change}`,
    );
  };
}

/** What to type where a command was refused for want of approval, with the words that were typed. */
export function howToRequest(words: readonly string[]): string {
  const shown = words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(' ');
  return `claviger --request-approval 'WHY IT IS NEEDED' ${shown}`;
}
