import { createRequire } from 'node:module';

/** Loaded where it is needed: few commands read YAML. */
export const yaml = (): typeof import('yaml') => createRequire(import.meta.url)('yaml') as typeof import('yaml');
