import { Evaluator, type RequestContext, type Resource } from '@claviger/authz';
import type { Client } from '@claviger/client';
import { Action, actionTable, type PolicyBundle } from '@claviger/contracts';
import type { Command } from 'commander';
import { CommandError } from '../exit-codes';
import { pairs, wholeNumber } from '../pairs';
import { collect, online } from '../run';
import { keyTodayOf } from '../simulation/keys-today';
import { recordedDecision } from '../simulation/recorded-decision';
import { keyIdOf } from './aliases';

interface Options {
  of?: string;
  action?: string;
  key?: string;
  mfa?: boolean;
  method: string;
  context?: string[];
  record?: string;
}
interface Asked {
  principal: string;
  action: string;
  key?: string;
  context: RequestContext;
}

/** Why something is allowed or not, and what is missing: for those who may read the policies. */
export function explainCommand(policy: Command): void {
  policy
    .command('explain')
    .description(
      'what the policies in force decide, which ones, and what is missing; of a question, or of a record of the ledger (needs policy:Read)',
    )
    .option('--of <principal>')
    .option('--action <action>', 'such as crypto:Decrypt')
    .option('--key <key>', 'id or alias, of an action about a key')
    .option('--mfa', 'with a second factor')
    .option('--method <method>', 'how the principal authenticated', 'token')
    .option('--context <name=value>', 'encryption context; may be repeated', collect)
    .option('--record <index>', 'a record of the ledger by its index: asked again with what it says')
    .action(
      online<Options>(async ({ client, options, output }) => {
        const { bundle } = await client.policy.show();
        const evaluator = new Evaluator();
        const loaded = evaluator.load(bundle satisfies PolicyBundle);
        if (!loaded.ok) throw new CommandError('failed', 'the bundle in force does not load here: this program is of another version');
        const asked =
          options.record === undefined ? await questionOf(client, options) : await recordOf(client, options.record, options.method);
        const { key, context, principal } = asked;
        const action = Action.safeParse(asked.action);
        if (!action.success)
          throw new CommandError('usage', `${asked.action} is no action`, 'Such as crypto:Decrypt; docs/reference.md lists them.');
        const resource = await resourceOf(client, action.data, key);
        const request = { principalId: principal, action: action.data, resource, context };
        const decision = evaluator.decide(request);
        output.text({ ...asked, revision: bundle.revision, decision }, evaluator.explain(request, decision));
      }),
    );
}

async function questionOf(client: Client, { of, action, key, mfa, method, context }: Options): Promise<Asked> {
  if (of === undefined || action === undefined) throw new CommandError('usage', 'give --of and --action, or --record');
  return {
    ...{ principal: of, action },
    ...(key === undefined ? {} : { key: await keyIdOf(client, key) }),
    context: {
      mfa: mfa === true,
      authMethod: method,
      nowMs: Date.now(),
      ...(context ? { encryptionContext: pairs('--context', context) } : {}),
    },
  };
}

/** The question that a record was about, by the policies, people and key of today. */
async function recordOf(client: Client, index: string, method: string): Promise<Asked> {
  const from = wholeNumber('--record', index) as number;
  const [line] = (await client.audit.entries({ from, limit: 1 })).lines;
  const record = line === undefined ? undefined : (JSON.parse(line) as Record<string, unknown>);
  const asked = record?.kind === 'operation' ? recordedDecision(record) : undefined;
  if (asked === undefined || typeof asked === 'string')
    throw new CommandError('badInput', `leaf ${from} is no decision of policy${asked ? ` (${asked})` : ''}`);
  const { principal, action, keyId, mfa = false, timeMs, context } = asked;
  return {
    ...{ principal, action },
    ...(keyId === undefined ? {} : { key: keyId }),
    context: { mfa, authMethod: method, nowMs: timeMs, ...(context ? { encryptionContext: context } : {}) },
  };
}

async function resourceOf(client: Client, action: Action, key: string | undefined): Promise<Resource> {
  if (actionTable[action] === 'System') return { type: 'System', id: 'claviger' };
  if (key === undefined) throw new CommandError('usage', `${action} is about a key: give --key`);
  const [keyId, { revision, attrs }] = keyTodayOf(await client.keys.describe({ keyId: key }));
  return { type: 'Key', id: keyId, revision, attrs };
}
