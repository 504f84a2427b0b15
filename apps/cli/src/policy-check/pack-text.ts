import type { PackInForce } from '@claviger/contracts';

/** A regulation pack in force, with the tag of the keys that it means here. */
export const packText = ({ id, version, tag }: PackInForce): string =>
  `${id} ${version}${tag ? ` (keys with the tag ${tag.name}${tag.value === undefined ? '' : `=${tag.value}`})` : ''}`;
