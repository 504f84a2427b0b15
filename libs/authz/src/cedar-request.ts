import type { Entities, EntityJson, StatefulAuthorizationCall } from '@cedar-policy/cedar-wasm/nodejs';
import { type ContextLens, encryptionContextUid } from './context-lens';
import type { AuthorizationRequest, Resource } from './request';
import type { Subject } from './subjects';

/** A request in Cedar's terms, without the policies that it is put to. */
export type CedarRequest = Pick<StatefulAuthorizationCall, 'principal' | 'action' | 'resource' | 'context' | 'entities'>;

export function cedarRequest({ action, resource, context }: AuthorizationRequest, subject: Subject, lens: ContextLens): CedarRequest {
  const { principal } = subject;
  const principalUid = { type: 'Claviger::Principal', id: principal.id };
  const granted = resource.type === 'Key' && subject.isGranted(action, resource.id, context.nowMs);
  const entities: Entities = [
    {
      uid: principalUid,
      attrs: { id: principal.id, kind: principal.kind },
      parents: subject.rolesAt(context.nowMs).map((id) => ({ type: 'Claviger::Role', id })),
    },
    resourceEntity(resource),
    { uid: encryptionContextUid, attrs: {}, parents: [], tags: lens.encryptionContextTags(context) },
  ];
  return {
    principal: principalUid,
    action: { type: 'Claviger::Action', id: action },
    resource: resourceUid(resource),
    context: lens.show(context, granted),
    entities,
  };
}

const resourceUid = (resource: Resource) => ({ type: `Claviger::${resource.type}`, id: resource.id });

function resourceEntity(resource: Resource): EntityJson {
  if (resource.type === 'System') return { uid: resourceUid(resource), attrs: {}, parents: [] };
  const { environment, classification, owner, consumers, algorithm, usage, state, createdBy, tags = {} } = resource.attrs;
  return {
    uid: resourceUid(resource),
    attrs: {
      environment,
      classification,
      owner,
      consumers: [...consumers],
      algorithm,
      usage,
      ...(state === undefined ? {} : { state }),
      ...(createdBy === undefined ? {} : { createdBy }),
    },
    parents: [],
    tags: { ...tags },
  };
}
