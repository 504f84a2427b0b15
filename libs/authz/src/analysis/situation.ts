import { type Action, actionTable, type Principal } from '@claviger/contracts';
import { type CedarRequest, cedarRequest } from '../cedar-request';
import { contextLens } from '../context-lens';
import { claviger, type KeyAttributes, type RequestContext, type Resource } from '../request';
import type { Subject } from '../subjects';
import { noon, somebody, type Value } from './domain';
import { another, type Variable } from './readings';

/** A request as far as policies tell it from others. What is left out is what most requests are like. */
export type Situation = ReadonlyMap<Variable, Value>;

const everything = contextLens({ whole: true, attributes: new Map() });

/** The request that stands for all requests of a situation. */
export function requestOf(action: Action, situation: Situation): CedarRequest {
  const granted = situation.get('context.granted') === true;
  const subject = person('', string(situation, 'principal.id', somebody), situation, granted);
  const newOwnerId = situation.get('newOwner.id') as string | undefined;
  const newOwner =
    newOwnerId === undefined
      ? undefined
      : newOwnerId === subject.principal.id
        ? subject
        : person('newOwner.', newOwnerId, situation, false);
  const request = { principalId: subject.principal.id, action, resource: resourceOf(action, situation), context: contextOf(situation) };
  return cedarRequest(request, subject, everything, newOwner);
}

function person(prefix: string, id: string, situation: Situation, granted: boolean): Subject {
  const held = (what: string) =>
    [...situation].flatMap(([variable, value]) =>
      value === true && variable.startsWith(`${prefix}${what}:`) ? [variable.slice(prefix.length + what.length + 1)] : [],
    );
  const roles = held('role');
  const kind = string(situation, prefix === '' ? 'principal.kind' : `${prefix}kind`, 'person') as Principal['kind'];
  return {
    principal: { id, kind, roles, disabled: false, revision: 1, identities: [] },
    digest: '',
    groups: held('group'),
    periodAt: () => 0,
    rolesAt: () => roles,
    isGranted: () => granted,
    limited: [],
    having() {
      return this;
    },
  };
}

function resourceOf(action: Action, situation: Situation): Resource {
  if (actionTable[action] === 'System') return claviger;
  const { createdBy, residency, state } = {
    createdBy: situation.get('resource.createdBy') as string | undefined,
    residency: situation.get('resource.residency') as readonly string[] | undefined,
    state: situation.get('resource.state') as string | undefined,
  };
  const attrs: KeyAttributes = {
    environment: string(situation, 'resource.environment', 'development'),
    classification: string(situation, 'resource.classification', 'internal'),
    owner: string(situation, 'resource.owner', another),
    consumers: (situation.get('resource.consumers') as readonly string[] | undefined) ?? [],
    algorithm: string(situation, 'resource.algorithm', 'AES_256'),
    usage: string(situation, 'resource.usage', 'encrypt'),
    tags: tagsOf('resource.tag:', situation),
    ...(createdBy === undefined ? {} : { createdBy }),
    ...(residency === undefined ? {} : { residency }),
    ...(state === undefined ? {} : { state }),
  };
  return { type: 'Key', id: string(situation, 'resource.id', another), revision: 1, attrs };
}

function contextOf(situation: Situation): RequestContext {
  const age = situation.get('context.sessionAgeSeconds') as number | undefined;
  const ip = situation.get('context.ip') as string | undefined;
  const acr = situation.get('context.acr') as string | undefined;
  return {
    mfa: situation.get('context.mfa') === true,
    authMethod: string(situation, 'context.authMethod', 'token'),
    nowMs: (situation.get('context.now') as number | undefined) ?? noon,
    encryptionContext: tagsOf('context.encryptionContext.tag:', situation),
    ...(age === undefined ? {} : { sessionAgeSeconds: age }),
    ...(ip === undefined ? {} : { ip }),
    ...(acr === undefined ? {} : { acr }),
  };
}

const string = (situation: Situation, variable: Variable, otherwise: string): string =>
  (situation.get(variable) as string | undefined) ?? otherwise;

const tagsOf = (prefix: string, situation: Situation): Record<string, string> =>
  Object.fromEntries(
    [...situation].flatMap(([variable, value]) =>
      variable.startsWith(prefix) && typeof value === 'string' ? [[variable.slice(prefix.length), value] as const] : [],
    ),
  );

/** In words, for people. */
export function situationText(situation: Situation): string {
  const parts = [...situation].map(([variable, value]) => {
    const [, role] = /^(?:newOwner\.)?(role:.*|group:.*)$/.exec(variable) ?? [];
    if (role !== undefined)
      return `${variable.startsWith('newOwner.') ? 'the new owner' : 'the caller'} ${value ? 'has' : 'lacks'} ${role.replace(':', ' ')}`;
    return `${variable} ${valueText(variable, value)}`;
  });
  return parts.length === 0 ? 'always' : parts.join(', ');
}

function valueText(variable: Variable, value: Value): string {
  if (value === undefined) return 'is absent';
  if (typeof value === 'boolean') return value ? 'is true' : 'is false';
  if (typeof value === 'object') return value.length === 0 ? 'is empty' : `is {${value.map(named).join(', ')}}`;
  if (variable === 'context.now') return `is ${new Date(value as number).toISOString()}`;
  return `is ${named(String(value))}`;
}
const named = (text: string): string => (text === somebody ? 'the caller' : text === another ? 'any other' : text);
