import { isDeepStrictEqual } from 'node:util';
import type { KeyView } from '@claviger/contracts';

/** Whether two records are of the same key in the same state, whatever KEK its versions are wrapped under: what was decided on one holds for the other. */
export const isRewrapOf = (one: KeyView, other: KeyView): boolean => isDeepStrictEqual(unwrapped(one), unwrapped(other));

const unwrapped = (key: KeyView) => ({
  ...key,
  revision: 0,
  versions: key.versions.map(({ material, ...version }) => ({
    ...version,
    material: material?.custody === 'wrapped' ? material.custody : material,
  })),
});
