import type { KeyFilter } from '@claviger/contracts';
import type { Filter } from 'mongodb';
import type { Key } from './key';
import { createdAtOf, facetsOf, facetsWanted, indexFormat } from './key-facets';

/** Fields of a key's document that are there to find it by. None is signed. */
export interface IndexFields {
  facets: string[];
  createdAt: string;
  indexed: number;
}

export const indexFieldsOf = (key: Key): IndexFields => ({ facets: facetsOf(key), createdAt: createdAtOf(key), indexed: indexFormat });

/** Names of the fields that say something else than the key does. */
export function misindexedFields(document: Partial<IndexFields> & { name: string }, key: Key): string[] {
  const { facets, createdAt } = indexFieldsOf(key);
  const same = {
    name: document.name === key.name,
    createdAt: document.createdAt === createdAt,
    // In any order: a set.
    facets: Array.isArray(document.facets) && isSameSet(document.facets, facets),
  };
  return Object.entries(same).flatMap(([name, is]) => (is ? [] : [name]));
}

const isSameSet = (a: readonly unknown[], b: readonly string[]): boolean => {
  const set = new Set(a);
  return set.size === b.length && b.every((one) => set.has(one));
};

/** The indexes that lists by filter use, beside those of ids and names. */
export const keyIndexes = [{ facets: 1, _id: 1 }, { createdAt: 1 }] as const;

export const facetsIndex = 'facets_1__id_1';
export type IndexName = typeof facetsIndex | 'name_1' | 'createdAt_1' | '_id_';

/**
 * So many of `all` documents a filter by facets has to mean for a page of `limit` to be read by the walk of ids. FerretDB sorts all that are meant for each
 * page, which takes about half as long for each as the walk does for each that it passes: `meant × meant > 2 × limit × all` is where both take as long.
 */
export const manyMeant = (limit: number, all: number): number => Math.max(limit, Math.ceil(Math.sqrt(2 * limit * all)));

/**
 * The index, by the name that stores give it, that a page of this filter is read by. It is said to the store: FerretDB would walk all documents by id
 * for one facet, or for a range of times, since it takes each for something that many documents have (docs/adr/0022-finding-keys.md).
 */
export function indexFor(filter: KeyFilter): IndexName {
  if (facetsWanted(filter).length > 0) return facetsIndex;
  if (filter.namePrefix !== undefined) return 'name_1';
  return filter.createdFrom === undefined && filter.createdBefore === undefined ? '_id_' : 'createdAt_1';
}

/**
 * The page after `after` by id. `_id > ''` is said for the first page too: FerretDB walks the index of ids in order for a range of it only, and may
 * sort the whole collection otherwise.
 */
export function queryFor<D extends { _id: string; name: string } & IndexFields>(filter: KeyFilter, after = ''): Filter<D> {
  const { namePrefix, createdFrom, createdBefore } = filter;
  return {
    _id: { $gt: after },
    ...(facetsWanted(filter).length === 0 ? {} : withFacets<D>(filter)),
    // Every character of a name sorts before "~".
    ...(namePrefix === undefined ? {} : { name: { $gte: namePrefix, $lt: `${namePrefix}~` } }),
    ...(createdFrom === undefined && createdBefore === undefined
      ? {}
      : { createdAt: { ...(createdFrom ? { $gte: createdFrom } : {}), ...(createdBefore ? { $lt: createdBefore } : {}) } }),
  } as Filter<D>;
}

/** What has all the facets of a filter that has some. */
export const withFacets = <D extends IndexFields>(filter: KeyFilter): Filter<D> =>
  ({ facets: { $all: facetsWanted(filter) } }) as Filter<D>;

export const isFiltered = (filter: KeyFilter): boolean => Object.values(filter).some((value) => value !== undefined);
