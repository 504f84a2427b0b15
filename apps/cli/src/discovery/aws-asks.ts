import type { KMSClient } from '@aws-sdk/client-kms';

export type Kms = typeof import('@aws-sdk/client-kms');

/** Where AWS KMS is asked: a region, by the credentials that the AWS SDK finds, or by those of a profile of its shared files. */
export interface AwsTarget {
  readonly region: string;
  readonly profile?: string;
}

/** What could not be asked, and why: not the same as well. */
export type Unseen = { place: string; why: string };

/** Does something with a client, and always closes it. The SDK is loaded by whoever looks there, and by nobody else. */
export async function* withAws<T>(
  { region, profile }: AwsTarget,
  work: (kms: Kms, client: KMSClient) => AsyncGenerator<T>,
): AsyncGenerator<T> {
  const kms: Kms = await import('@aws-sdk/client-kms');
  // Who does not answer keeps nobody waiting for ever.
  const requestHandler = { connectionTimeout: 10_000, requestTimeout: 30_000, throwOnRequestTimeout: true };
  const client = new kms.KMSClient({ region, maxAttempts: 5, requestHandler, ...(profile === undefined ? {} : { profile }) });
  try {
    yield* work(kms, client);
  } finally {
    client.destroy();
  }
}

/** ARNs of all keys, those that AWS manages too. @throws what AWS answers */
export async function* keyArns(kms: Kms, client: KMSClient): AsyncGenerator<string> {
  for await (const page of kms.paginateListKeys({ client }, {})) for (const { KeyArn } of page.Keys ?? []) if (KeyArn) yield KeyArn;
}

/** Names by the id of the key that they point to, and the ARN of one of them: of those that AWS itself made there is one in most regions. @throws what AWS answers */
export async function aliasesOf(kms: Kms, client: KMSClient): Promise<{ of: ReadonlyMap<string, string[]>; someArn?: string }> {
  const of = new Map<string, string[]>();
  let someArn: string | undefined;
  for await (const page of kms.paginateListAliases({ client }, {}))
    for (const { TargetKeyId = '', AliasName = '', AliasArn } of page.Aliases ?? []) {
      of.set(TargetKeyId, [...(of.get(TargetKeyId) ?? []), AliasName]);
      someArn ??= AliasArn;
    }
  return { of, ...(someArn === undefined ? {} : { someArn }) };
}

/** @throws what AWS answers */
export async function tagsOf(kms: Kms, client: KMSClient, arn: string): Promise<Record<string, string>> {
  const all: [string, string][] = [];
  for await (const page of kms.paginateListResourceTags({ client }, { KeyId: arn }))
    for (const { TagKey = '', TagValue = '' } of page.Tags ?? []) all.push([TagKey, TagValue]);
  return Object.fromEntries(all);
}

/** Days; 0 of one that is not rotated. @throws what AWS answers */
export async function rotationDaysOf(kms: Kms, client: KMSClient, arn: string): Promise<number> {
  const { KeyRotationEnabled, RotationPeriodInDays = 365 } = await client.send(new kms.GetKeyRotationStatusCommand({ KeyId: arn }));
  return KeyRotationEnabled ? RotationPeriodInDays : 0;
}

/** One thing that may not be asked about keeps no other from being told. */
export async function asked<T>(unseen: Unseen[], place: string, ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    unseen.push({ place, why: nameOf(error) });
    return undefined;
  }
}

/** Of what AWS answers the name only: its message may hold what was asked. */
export const nameOf = (error: unknown): string => (error instanceof Error ? error.name : 'error');
