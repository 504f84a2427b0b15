import { isDeepStrictEqual } from 'node:util';
import type { Residency } from '@claviger/contracts';
import { type Key, refuseWhileDeleting } from './key';

/** Undefined is anywhere. Workers elsewhere refuse it from the moment on that they have this. */
export function setResidency(key: Key, residency: Residency | undefined): Key {
  refuseWhileDeleting(key);
  if (isDeepStrictEqual(key.residency, residency)) return key;
  const { residency: _, ...rest } = key;
  return { ...rest, ...(residency ? { residency } : {}), revision: key.revision + 1 };
}
