import { z } from 'zod';

/** Where a site or a token is, as the organisation names it: a region of a cloud, a country, a data centre. Compared exactly. */
export const Region = z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'a region is 1 to 32 of a-z, 0-9 and -');
export type Region = z.infer<typeof Region>;

/** The regions that a key may be used, stored and backed up in. */
export const Residency = z
  .array(Region)
  .min(1)
  .max(16)
  .refine((regions) => new Set(regions).size === regions.length, 'names a region twice');
export type Residency = z.infer<typeof Residency>;

/** Whether a key may be in this region. Where a region is not known, only what may be anywhere. */
export const residesIn = (residency: Residency | undefined, region: Region | undefined): boolean =>
  residency === undefined || (region !== undefined && residency.includes(region));

/** Whether the second lets a key be somewhere that the first does not; undefined is anywhere. */
export const isWider = (from: Residency | undefined, to: Residency | undefined): boolean =>
  from !== undefined && (to === undefined || to.some((region) => !from.includes(region)));
