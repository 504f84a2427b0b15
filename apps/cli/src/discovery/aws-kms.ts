import type { KeyMetadata, KMSClient } from '@aws-sdk/client-kms';
import type { KeyProfile } from '@claviger/contracts';
import { CommandError } from '../exit-codes';
import { type AwsKey, discoveredInAws } from './aws-key';
import type { DiscoveredKey } from './discovered';
import { spkiDigest } from './key-algorithm';

type Kms = typeof import('@aws-sdk/client-kms');

export interface AwsLook {
  profiles: readonly KeyProfile[];
  /** What could not be asked, and why: not the same as well. */
  unseen: { place: string; why: string }[];
}

/**
 * Customer managed keys of one account and region, by the credentials that the AWS SDK finds (environment, shared files, roles). It asks for kms:ListKeys, ListAliases,
 * DescribeKey, GetKeyRotationStatus, ListResourceTags and GetPublicKey, and changes nothing.
 * @throws CommandError when not even the list of keys can be had
 */
export async function* keysInAwsKms(region: string, look: AwsLook): AsyncGenerator<DiscoveredKey> {
  // Only who looks there waits for it to be loaded.
  const kms: Kms = await import('@aws-sdk/client-kms');
  const client = new kms.KMSClient({ region, maxAttempts: 5 });
  try {
    const aliases = await aliasesOf(kms, client, look);
    for await (const arn of keyArns(kms, client, region)) {
      const metadata = await asked(look, arn, async () => (await client.send(new kms.DescribeKeyCommand({ KeyId: arn }))).KeyMetadata);
      if (metadata?.KeyManager === 'CUSTOMER')
        yield discoveredInAws(await lookAt(kms, client, arn, metadata, aliases, look), look.profiles);
    }
  } finally {
    client.destroy();
  }
}

async function* keyArns(kms: Kms, client: KMSClient, region: string): AsyncGenerator<string> {
  try {
    for await (const page of kms.paginateListKeys({ client }, {})) for (const { KeyArn } of page.Keys ?? []) if (KeyArn) yield KeyArn;
  } catch (error) {
    throw new CommandError(
      'badInput',
      `the keys of AWS region ${region} cannot be listed (${nameOf(error)})`,
      'Check the credentials, and that they may kms:ListKeys.',
    );
  }
}

async function aliasesOf(kms: Kms, client: KMSClient, look: AwsLook): Promise<ReadonlyMap<string, string[]>> {
  const found = new Map<string, string[]>();
  await asked(look, 'aliases', async () => {
    for await (const page of kms.paginateListAliases({ client }, {}))
      for (const { TargetKeyId = '', AliasName = '' } of page.Aliases ?? [])
        found.set(TargetKeyId, [...(found.get(TargetKeyId) ?? []), AliasName]);
  });
  return found;
}

async function lookAt(
  kms: Kms,
  client: KMSClient,
  arn: string,
  about: KeyMetadata,
  aliases: ReadonlyMap<string, string[]>,
  look: AwsLook,
): Promise<AwsKey> {
  const isRotatable = about.KeySpec === 'SYMMETRIC_DEFAULT' && about.Origin === 'AWS_KMS';
  const asksRotation = isRotatable && about.KeyState === 'Enabled';
  const rotationDays = asksRotation
    ? await asked(look, arn, async () => {
        const { KeyRotationEnabled, RotationPeriodInDays = 365 } = await client.send(new kms.GetKeyRotationStatusCommand({ KeyId: arn }));
        return KeyRotationEnabled ? RotationPeriodInDays : 0;
      })
    : isRotatable
      ? undefined
      : ('unable' as const);
  const tags = await asked(look, arn, async () => {
    const all: Record<string, string> = {};
    for await (const page of kms.paginateListResourceTags({ client }, { KeyId: arn }))
      for (const { TagKey = '', TagValue = '' } of page.Tags ?? []) all[TagKey] = TagValue;
    return all;
  });
  const isPair = /^(RSA|ECC|ML_DSA|SM2)/.test(about.KeySpec ?? '');
  const publicKey =
    isPair && about.KeyState === 'Enabled'
      ? await asked(look, arn, async () => (await client.send(new kms.GetPublicKeyCommand({ KeyId: arn }))).PublicKey)
      : undefined;
  return {
    ...{ arn, spec: about.KeySpec ?? 'unknown', state: about.KeyState ?? 'unknown', origin: about.Origin ?? 'unknown' },
    multiRegion: about.MultiRegion === true,
    aliases: aliases.get(about.KeyId ?? '') ?? [],
    ...(tags === undefined ? {} : { tags }),
    ...(rotationDays === undefined ? {} : { rotationDays }),
    ...(about.DeletionDate ? { deletionAt: about.DeletionDate.toISOString() } : {}),
    ...(about.ValidTo ? { validTo: about.ValidTo.toISOString() } : {}),
    ...(publicKey ? { publicKeySha256: spkiDigest(publicKey) } : {}),
  };
}

/** One key that may not be asked about keeps no other from being told. */
async function asked<T>(look: AwsLook, place: string, ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    look.unseen.push({ place, why: nameOf(error) });
    return undefined;
  }
}

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : 'error');
