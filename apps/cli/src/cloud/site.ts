import { z } from 'zod';
import { KeyPolicy } from './key-policy';

export const cloudFormat = 'claviger.cloud-kms/1';

const text = z.string().min(1).max(2_048);
const name = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/);
const Region = z.string().regex(/^[a-z]{2,8}(-[a-z0-9]{1,16}){1,4}$/);
const Time = z.iso.datetime();
const pairs = z.record(z.string().max(8_192), z.string().max(8_192));

/** Who may use a key without its policy saying so. Its id, its name and when it was made say nothing of that. */
export const CloudGrant = z.strictObject({
  ...{ grantee: text.optional(), granteeService: text.optional(), retiring: text.optional(), retiringService: text.optional() },
  issuingAccount: text.optional(),
  operations: z.array(name).max(100),
  /** Constraints: of the encryption context, all of it or some of it; of the resource on whose behalf it is asked. */
  equals: pairs.optional(),
  includes: pairs.optional(),
  sourceArn: text.optional(),
});
export type CloudGrant = z.infer<typeof CloudGrant>;

/** What governs one customer managed key. */
export const CloudKey = z.strictObject({
  /** Key id, without the ARN around it. */
  id: z.string().regex(/^[A-Za-z0-9-]{1,64}$/),
  aliases: z.array(text).max(1_000),
  /** As AWS names them: `Enabled`, `Disabled`, `PendingDeletion`, … */
  ...{ state: name, spec: name, usage: name, origin: name },
  deletionAt: Time.optional(),
  /** When imported material ends. */
  validTo: Time.optional(),
  customKeyStore: text.optional(),
  /** Absent of a key of one region. */
  multiRegion: z.strictObject({ type: name, primary: Region, replicas: z.array(Region).max(200) }).optional(),
  /** Days; 0 of one that is not rotated; absent of one that AWS never rotates by itself, or does not rotate in its state. */
  rotationDays: z.int().min(0).max(10_000).optional(),
  tags: pairs,
  policy: KeyPolicy,
  grants: z.array(CloudGrant).max(100_000),
  /** Written by people, and kept: grants that come and go, as those of services for each disk, with `*` for any text in their values. */
  expectedGrants: z.array(CloudGrant).max(1_000).optional(),
});
export type CloudKey = z.infer<typeof CloudKey>;

/** What is committed of one account and region of a cloud KMS: `cloud/aws-kms/ACCOUNT/REGION.json` of a policy folder. */
export const CloudSite = z
  .strictObject({
    format: z.literal(cloudFormat),
    provider: z.literal('aws-kms'),
    account: z.string().regex(/^\d{12}$/),
    region: Region,
    keys: z.array(CloudKey).max(100_000),
  })
  .refine(({ keys }) => new Set(keys.map(({ id }) => id)).size === keys.length, { message: 'a key stands twice', path: ['keys'] });
export type CloudSite = z.infer<typeof CloudSite>;

export const siteName = ({ account, region }: { account: string; region: string }): string => `aws-kms/${account}/${region}`;

/** What can be said of a key, and compared. */
export type CloudPart = Exclude<keyof CloudKey, 'id' | 'expectedGrants'>;

/** A key as it was seen. What AWS did not show is in `unseen`, by its part, and nowhere else; without `key` nothing of it is known. */
export interface SeenKey {
  readonly id: string;
  readonly key?: Partial<CloudKey>;
  readonly unseen: readonly { readonly part: CloudPart | 'key'; readonly why: string }[];
}

/** Of one account and region. `unseen`: why not even the list of its keys, or whose they are, is known. */
export interface SeenSite {
  readonly region: string;
  readonly account?: string;
  readonly keys: readonly SeenKey[];
  readonly unseen?: string;
}
