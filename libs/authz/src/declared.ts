import type { EntityJson, SchemaJson } from '@cedar-policy/cedar-wasm/nodejs';
import type { CedarRequest } from './cedar-request';

/** What a schema knows of what the services send. */
export interface Declared {
  readonly actions: ReadonlySet<string>;
  /** The request without groups where principals are in none by the schema, as in one from before groups: they give roles all the same. */
  readonly grouped: (request: CedarRequest) => CedarRequest;
  /** The request without what the schema does not know: no policy that it validated can read that. */
  readonly known: (request: CedarRequest) => CedarRequest;
}

type Attributes = Readonly<Record<string, unknown>>;
interface TypeJson {
  type?: string;
  name?: string;
  attributes?: Attributes;
}

/** Types by their bare name: the services send those of one namespace only. */
export function declaredBy(schema: SchemaJson<string>): Declared {
  const namespaces = Object.values(schema) as {
    actions: Record<string, { appliesTo?: { context?: TypeJson } }>;
    entityTypes: Record<string, { shape?: TypeJson; tags?: unknown; memberOfTypes?: string[] }>;
    commonTypes?: Record<string, TypeJson>;
  }[];
  const merged = <T>(of: (namespace: (typeof namespaces)[number]) => Record<string, T> | undefined): Map<string, T> =>
    new Map(namespaces.flatMap((namespace) => Object.entries(of(namespace) ?? {})));
  const actions = merged(({ actions: of }) => of);
  const entities = merged(({ entityTypes }) => entityTypes);
  const common = merged(({ commonTypes }) => commonTypes);
  /** Undefined where it cannot be told: then nothing is left out. */
  const attributesOf = (type: TypeJson | undefined, depth = 0): Attributes | undefined => {
    if (!type || type.attributes || depth > 8) return type?.attributes;
    return attributesOf(common.get(bare(type.name ?? type.type ?? '')), depth + 1);
  };
  const knowsGroups = entities.get('Principal')?.memberOfTypes?.some((name) => bare(name) === 'Group') ?? false;
  const grouped = (request: CedarRequest): CedarRequest =>
    knowsGroups ? request : { ...request, entities: request.entities.map(ungrouped) };
  return {
    grouped,
    actions: new Set([...actions].filter(([, { appliesTo }]) => appliesTo !== undefined).map(([id]) => id)),
    known: (request) => ({
      ...request,
      context: only(request.context, attributesOf(actions.get((request.action as { id: string }).id)?.appliesTo?.context)),
      entities: grouped(request).entities.map((entity) => {
        const entityType = entities.get(bare((entity.uid as { type: string }).type));
        if (!entityType) return entity;
        // An entity without a shape has no attributes.
        const attrs = only(entity.attrs, entityType.shape === undefined ? {} : attributesOf(entityType.shape));
        const { tags, ...rest } = entity;
        return { ...rest, attrs, ...(tags === undefined || entityType.tags === undefined ? {} : { tags }) };
      }),
    }),
  };
}

const ungrouped = (entity: EntityJson): EntityJson => ({
  ...entity,
  parents: entity.parents.filter((parent) => !('type' in parent) || bare(parent.type) !== 'Group'),
});

const bare = (name: string): string => name.split('::').at(-1) as string;

const only = <T extends object>(value: T, known: Attributes | undefined): T =>
  known === undefined ? value : (Object.fromEntries(Object.entries(value).filter(([name]) => Object.hasOwn(known, name))) as T);
