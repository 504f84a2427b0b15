import type { WrappedKey } from '@claviger/contracts';
import type { Key } from './key';

/** A version of a key whose material is under one of some KEKs. */
export interface VersionUnder {
  version: number;
  material: WrappedKey;
}

export const versionsUnder = (key: Key, keks: ReadonlySet<string>): VersionUnder[] =>
  key.versions.flatMap(({ version, material }) =>
    material?.custody === 'wrapped' && keks.has(material.kekId) ? [{ version, material }] : [],
  );

/** The same key with the material of some versions under another KEK: what it can do, and for whom, is as before. */
export const rewrappedKey = (key: Key, made: ReadonlyMap<number, WrappedKey>): Key => ({
  ...key,
  revision: key.revision + 1,
  versions: key.versions.map((version) => {
    const material = made.get(version.version);
    return material ? { ...version, material } : version;
  }),
});
