import type { KeyFilter } from '@claviger/contracts';
import { isDestroyed, type Key } from './key';

/** Changes with what `facetsOf` says of a key, or `dueAt`: documents that were written under another number are indexed anew at start. */
export const indexFormat = 3;

/**
 * What a key can be found by, as one list of `name=value`, so that one index serves every combination. It is not signed: a hint where to look, and
 * `isMeant` decides.
 */
export function facetsOf(key: Key): string[] {
  const material = key.versions.flatMap((version) => (version.material ? [version.material] : []));
  return [
    ...new Set([
      `state=${primaryState(key)}`,
      `algorithm=${key.algorithm}`,
      `usage=${key.usage}`,
      `environment=${key.environment}`,
      `classification=${key.classification}`,
      `owner=${key.owner}`,
      ...(key.team === undefined ? [] : [`team=${key.team}`]),
      ...key.consumers.map((consumer) => `consumer=${consumer}`),
      ...material.map(({ custody }) => `custody=${custody}`),
      ...material.flatMap((m) => (m.custody === 'wrapped' ? [`kek=${m.kekId}`] : [])),
      // No tag's name holds a "=", so these cannot be mistaken for one another.
      ...Object.entries(key.tags).flatMap(([name, value]) => [`tag=${name}`, `tag=${name}=${value}`]),
      `origin=${key.origin ?? 'generated'}`,
      `exportable=${key.exportable === true}`,
      `suspended=${key.suspended}`,
      `pending-deletion=${isPendingDeletion(key)}`,
    ]),
  ];
}

/** RFC 3339: when the first version was made. */
export const createdAtOf = (key: Key): string => (key.versions[0] as Key['versions'][number]).createdAt;

/** Facets that every key has that is meant. Those that few keys have come first: a store that uses one of them uses the first. */
export function facetsWanted(filter: KeyFilter): string[] {
  const { tag, suspended, pendingDeletion } = filter;
  const asked: [string, string | boolean | undefined][] = [
    ['owner', filter.owner],
    ['consumer', filter.consumer],
    ['tag', tag && (tag.value === undefined ? tag.name : `${tag.name}=${tag.value}`)],
    ['team', filter.team],
    ['pending-deletion', pendingDeletion],
    ['suspended', suspended],
    ['kek', filter.kek],
    ['state', filter.state],
    ['algorithm', filter.algorithm],
    ['classification', filter.classification],
    ['usage', filter.usage],
    ['environment', filter.environment],
    ['custody', filter.custody],
    ['origin', filter.origin],
    ['exportable', filter.exportable],
  ];
  return asked.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
}

/** Whether the filter means this key, by what is signed of it. */
export function isMeant(key: Key, filter: KeyFilter): boolean {
  const facets = new Set(facetsOf(key));
  const createdAt = createdAtOf(key);
  return (
    facetsWanted(filter).every((facet) => facets.has(facet)) &&
    key.name.startsWith(filter.namePrefix ?? '') &&
    (filter.createdFrom === undefined || createdAt >= filter.createdFrom) &&
    (filter.createdBefore === undefined || createdAt < filter.createdBefore)
  );
}

const primaryState = ({ versions, primaryVersion }: Key) => versions.find(({ version }) => version === primaryVersion)?.state;

const isPendingDeletion = (key: Key): boolean => key.deletionAt !== undefined && !isDestroyed(key);
