import { type AuthorizationRequest, claviger, Evaluator, explained, type Resource } from '@claviger/authz';
import type { Client } from '@claviger/client';
import { Action, actionTable, explainOperations, type Input } from '@claviger/contracts';
import type { Command } from 'commander';
import { CommandError } from '../exit-codes';
import type { Output } from '../output';
import { pairs, wholeNumber } from '../pairs';
import { checkedFolder } from '../policy-check/valid-folder';
import { collect, offline, online, type Work } from '../run';
import { keyTodayOf } from '../simulation/keys-today';
import { type RecordedDecision, recordedDecision } from '../simulation/recorded-decision';
import { keyIdOf } from './aliases';

interface Options {
  of?: string;
  action?: string;
  key?: string;
  mfa?: boolean;
  method?: string;
  acr?: string;
  context?: string[];
  newOwner?: string;
  record?: string;
}
type Question = Pick<
  Input<typeof explainOperations.explain>,
  'principal' | 'action' | 'key' | 'mfa' | 'method' | 'acr' | 'encryptionContext' | 'newOwner' | 'at'
>;
type Method = NonNullable<Question['method']>;

/** What a record says of the decision then. */
interface Then extends RecordedDecision {
  readonly index: number;
  readonly code?: string;
  readonly bundle?: number;
}

/** Why something is allowed or not, and what is missing: for those who may know. */
export function explainCommand(policy: Command): void {
  policy
    .command('explain [folder]')
    .description(
      'what the policies in force decide, which ones, and what is missing; of a question, or of a record of the ledger. With a folder: what the policies in it decide, and nothing is asked of the service (but the key and the record, where there is one)',
    )
    .option('--of <principal>', 'default: yourself')
    .option('--action <action>', 'such as crypto:Decrypt')
    .option('--key <key>', 'id or alias, of an action about a key')
    .option('--mfa', 'with a second factor')
    .option('--no-mfa', 'without; default: as you are, when it is about yourself')
    .option('--method <method>', 'how the principal authenticated: token, oidc or certificate')
    .option('--acr <class>', 'class of the authentication, as the identity provider says it')
    .option('--context <name=value>', 'encryption context; may be repeated', collect)
    .option('--new-owner <principal>', 'of keys:SetOwner')
    .option('--record <index>', 'a record of the ledger by its index: asked again with what it says')
    .action((folder: string | undefined, options: Options, command: Command) => {
      if (folder === undefined) return online<Options>(explainInForce)(options, command);
      const isAlone = options.key === undefined && options.record === undefined;
      return isAlone
        ? offline<Options>((work) => explainFolder(work, folder))(options, command)
        : online<Options>((work) => explainFolder(work, folder))(options, command);
    });
}

async function explainInForce({ client, options, output }: Work<Options> & { client: Client }): Promise<void> {
  const then = options.record === undefined ? undefined : await recorded(client, options.record);
  const { receipt: _, ...answer } = await client.policy.explain(then ? questionThen(then, options) : questionOf(options));
  output.text({ ...answer, ...(then ? { record: then } : {}) }, then ? `${thenText(then)}\n${answer.text}` : answer.text);
  if (then) noteWhatChanged(output, then, answer.bundle.revision, answer.question.keyRevision);
}

async function explainFolder({ client, options, output }: Work<Options> & { client?: Client }, folder: string): Promise<void> {
  const bundle = checkedFolder(output, folder);
  const evaluator = new Evaluator();
  const loaded = evaluator.load(bundle);
  if (!loaded.ok) throw new CommandError('failed', `${folder} does not load: ${loaded.issues.map(({ message }) => message).join('; ')}`);
  const then = options.record === undefined ? undefined : await recorded(client as Client, options.record);
  const question = then ? questionThen(then, options) : questionOf(options);
  const { principal, action, key } = question;
  if (principal === undefined) throw new CommandError('usage', 'with a folder, give --of');
  const resource = await resourceOf(client, action, key);
  const { mfa = false, method = 'token', at, acr, encryptionContext, newOwner } = question;
  const request: AuthorizationRequest = {
    ...{ principalId: principal, action, resource },
    context: {
      ...{ mfa, authMethod: method, nowMs: at === undefined ? Date.now() : Date.parse(at) },
      ...(acr === undefined ? {} : { acr }),
      ...(encryptionContext ? { encryptionContext } : {}),
      ...(newOwner === undefined ? {} : { newOwner }),
    },
  };
  const { decision, text, policies, roles, groups, missing } = explained(evaluator, request);
  const answer = { decision: decision.kind, code: decision.code, question, policies, roles, groups, missing, text };
  output.text({ ...answer, ...(then ? { record: then } : {}) }, then ? `${thenText(then)}\n${text}` : text);
  if (then) output.note(`explained by ${folder}, with its people: whether it is what decided then, its history says`);
}

function questionOf({ of, action, key, mfa, method, acr, context, newOwner }: Options): Question {
  if (action === undefined) throw new CommandError('usage', 'give --action, or --record');
  const known = Action.safeParse(action);
  if (!known.success) throw new CommandError('usage', `${action} is no action`, 'Such as crypto:Decrypt; docs/reference.md lists them.');
  if (actionTable[known.data] === 'Key' && key === undefined) throw new CommandError('usage', `${action} is about a key: give --key`);
  return {
    action: known.data,
    ...(of === undefined ? {} : { principal: of }),
    ...(key === undefined ? {} : { key }),
    ...(mfa === undefined ? {} : { mfa }),
    ...(method === undefined ? {} : { method: methodOf(method) }),
    ...(acr === undefined ? {} : { acr }),
    ...(context ? { encryptionContext: pairs('--context', context) } : {}),
    ...(newOwner === undefined ? {} : { newOwner }),
  };
}

/** The same question as of then; what no record says comes from the options. */
function questionThen({ principal, action, keyId, mfa = false, timeMs, context }: Then, { method, acr, newOwner }: Options): Question {
  return {
    ...{ principal, action, mfa, at: new Date(timeMs).toISOString() },
    ...(keyId === undefined ? {} : { key: keyId }),
    method: methodOf(method ?? 'token'),
    ...(acr === undefined ? {} : { acr }),
    ...(context ? { encryptionContext: { ...context } } : {}),
    ...(newOwner === undefined ? {} : { newOwner }),
  };
}

function methodOf(method: string): Method {
  if (!['token', 'oidc', 'certificate'].includes(method)) throw new CommandError('usage', '--method is token, oidc or certificate');
  return method as Method;
}

async function recorded(client: Client, index: string): Promise<Then> {
  const from = wholeNumber('--record', index) as number;
  const [line] = (await client.audit.entries({ from, limit: 1 })).lines;
  const record = line === undefined ? undefined : (JSON.parse(line) as Record<string, unknown>);
  const decided = record?.kind === 'operation' ? recordedDecision(record) : undefined;
  if (record === undefined || decided === undefined || typeof decided === 'string')
    throw new CommandError('badInput', `leaf ${from} is no decision of policy${decided ? ` (${decided})` : ''}`);
  const bundle = (record.revisions as { bundle?: unknown } | undefined)?.bundle;
  return {
    ...decided,
    index: from,
    ...(typeof record.code === 'string' ? { code: record.code } : {}),
    ...(typeof bundle === 'number' ? { bundle } : {}),
  };
}

const verdicts = { allow: 'ALLOWED', deny: 'DENIED', 'needs-approval': 'NEEDS APPROVAL' } as const;

function thenText({ index, timeMs, verdict, policies, bundle }: Then): string {
  const by = policies.length > 0 ? `by ${policies.join(', ')}` : 'since no policy permitted it';
  const on = bundle === undefined ? '' : ` of bundle revision ${bundle}`;
  return `leaf ${index}, ${new Date(timeMs).toISOString()}: ${verdicts[verdict]} ${by}${on}`;
}

/** Whether what explains it is what decided it. */
function noteWhatChanged(output: Output, then: Then, revision: number, keyRevision: number | undefined): void {
  if (then.bundle === undefined) output.note('the record does not say which bundle decided it: it is explained by the one in force');
  else if (then.bundle === revision) output.note(`decided by bundle revision ${revision}, which is still in force: this is why`);
  else
    output.note(
      `it was decided by bundle revision ${then.bundle}, of which the service keeps nothing but the ids above; revision ${revision}, which is in force, explains it here. Give the folder as it was published then to ask those policies`,
    );
  if (then.keyRevision !== undefined && then.keyRevision !== keyRevision)
    output.note(`the key has changed since: it was revision ${then.keyRevision}, and is ${keyRevision ?? 'not known'}`);
}

async function resourceOf(client: Client | undefined, action: Action, key: string | undefined): Promise<Resource> {
  if (actionTable[action] === 'System') return claviger;
  const id = await keyIdOf(client as Client, key as string);
  const [keyId, { revision, attrs }] = keyTodayOf(await (client as Client).keys.describe({ keyId: id }));
  return { type: 'Key', id: keyId, revision, attrs };
}
