import { readFileSync } from 'node:fs';
import { bundleFormat, type Grant, type KeyProfile, type PolicyBundle, type Principal, type Role } from '@claviger/contracts';
import type { KeyAttributes, KeyResource, RequestContext } from '../src/index';

const folder = new URL('../../../deploy/policies/starter/', import.meta.url);
const read = (file: string) => readFileSync(new URL(file, folder), 'utf8');

export const starter = {
  policies: read('policies.cedar'),
  schema: read('schema.cedarschema'),
  roles: JSON.parse(read('roles.json')) as Role[],
  profiles: JSON.parse(read('profiles.json')) as KeyProfile[],
};

export function bundleOf(principals: Principal[], changes: Partial<PolicyBundle> = {}): PolicyBundle {
  return {
    format: bundleFormat,
    revision: 1,
    ...starter,
    principals,
    grants: [] as Grant[],
    publishedAt: '2026-01-01T00:00:00.000Z',
    ...changes,
  };
}

export function principal(id: string, roles: string[], changes: Partial<Principal> = {}): Principal {
  return { id, kind: 'person', roles, disabled: false, revision: 1, identities: [{ kind: 'token' }], ...changes };
}

export const keyId = 'k_AAAAAAAAAAAAAAAAAAAAAA';
export function key(attrs: Partial<KeyAttributes> = {}, revision: KeyResource['revision'] = 1, id = keyId): KeyResource {
  const standard = {
    environment: 'development',
    classification: 'internal',
    owner: 'somebody',
    algorithm: 'AES_256',
    usage: 'encrypt-decrypt',
  };
  return { type: 'Key', id, revision, attrs: { ...standard, consumers: [], ...attrs } };
}

export function context(changes: Partial<RequestContext> = {}): RequestContext {
  return { mfa: true, authMethod: 'token', nowMs: Date.parse('2026-06-01T12:00:00.000Z'), ...changes };
}
