import type { Entities, EntityJson, StatefulAuthorizationCall } from '@cedar-policy/cedar-wasm/nodejs';
import { type ContextLens, encryptionContextUid } from './context-lens';
import type { AuthorizationRequest, Resource } from './request';
import type { Subject } from './subjects';

/** A request in Cedar's terms, without the policies that it is put to. */
export type CedarRequest = Pick<StatefulAuthorizationCall, 'principal' | 'action' | 'resource' | 'context' | 'entities'>;

/** `newOwner`: of a hand-over, where the bundle knows who that is. */
export function cedarRequest(
  { action, resource, context }: AuthorizationRequest,
  subject: Subject,
  lens: ContextLens,
  newOwner?: Subject,
): CedarRequest {
  const { principal } = subject;
  const principalUid = principalUidOf(subject);
  const granted = resource.type === 'Key' && subject.isGranted(action, resource.id, context.nowMs, context.encryptionContext);
  const entities: Entities = [
    principalEntity(subject, context.nowMs),
    // One entity is not said twice.
    ...(newOwner && newOwner.principal.id !== principal.id ? [principalEntity(newOwner, context.nowMs)] : []),
    resourceEntity(resource),
    { uid: encryptionContextUid, attrs: {}, parents: [], tags: lens.encryptionContextTags(context) },
  ];
  return {
    principal: principalUid,
    action: { type: 'Claviger::Action', id: action },
    resource: resourceUid(resource),
    context: { ...lens.show(context, granted), ...(newOwner ? { newOwner: { __entity: principalUidOf(newOwner) } } : {}) },
    entities,
  };
}

/** Ids are `tenant/id`. */
const groupType = 'Claviger::Group';

const principalUidOf = ({ principal }: Subject) => ({ type: 'Claviger::Principal', id: principal.id });

const principalEntity = (subject: Subject, nowMs: number): EntityJson => ({
  uid: principalUidOf(subject),
  attrs: { id: subject.principal.id, kind: subject.principal.kind },
  parents: [
    ...subject.rolesAt(nowMs).map((id) => ({ type: 'Claviger::Role', id })),
    ...subject.groups.map((id) => ({ type: groupType, id })),
  ],
});

const resourceUid = (resource: Resource) => ({ type: `Claviger::${resource.type}`, id: resource.id });

function resourceEntity(resource: Resource): EntityJson {
  if (resource.type === 'System') return { uid: resourceUid(resource), attrs: {}, parents: [] };
  const { environment, classification, owner, consumers, algorithm, usage, state, createdBy, residency, tags = {} } = resource.attrs;
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
      ...(residency === undefined ? {} : { residency: [...residency] }),
    },
    parents: [],
    tags: { ...tags },
  };
}
