import type { Client } from '@claviger/client';
import type { Command } from 'commander';
import { type ApprovalOptions, approvalFlow } from './approval-flow';
import { Output } from './output';
import { withClient } from './session';
import { readSettings, type Settings } from './settings';

export interface Work<O> {
  options: O;
  settings: Settings;
  output: Output;
}

/** What a command does: with its options, settings and output … */
export const offline =
  <O, A extends string[] = []>(work: (context: Work<O>, ...args: A) => Promise<void> | void) =>
  async (...given: unknown[]): Promise<void> => {
    const command = given.at(-1) as Command;
    const options = command.optsWithGlobals() as O & { json?: boolean };
    const output = new Output(options.json === true);
    await work({ options, settings: readSettings(options as Record<string, unknown>, process.env), output }, ...(given.slice(0, -2) as A));
  };

/** … and with a connection to Claviger. */
export const online = <O, A extends string[] = []>(work: (context: Work<O> & { client: Client }, ...args: A) => Promise<void>) =>
  offline<O & ApprovalOptions, A>((context, ...args) => {
    let connected: Client | undefined;
    const onApprovalRequired = approvalFlow(context.options, () => connected as Client);
    return withClient(
      context.settings,
      (client) => {
        connected = client;
        return work({ ...context, client }, ...args);
      },
      onApprovalRequired,
    );
  });

/** For an option that is given several times. */
export const collect = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value];
