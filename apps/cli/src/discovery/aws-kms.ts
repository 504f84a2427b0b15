import type { KeyMetadata, KMSClient } from '@aws-sdk/client-kms';
import type { KeyProfile } from '@claviger/contracts';
import { CommandError } from '../exit-codes';
import { aliasesOf, asked, type Kms, keyArns, nameOf, rotationDaysOf, tagsOf, type Unseen, withAws } from './aws-asks';
import { type AwsKey, discoveredInAws } from './aws-key';
import type { DiscoveredKey } from './discovered';
import { spkiDigest } from './key-algorithm';

export interface AwsLook {
  profiles: readonly KeyProfile[];
  unseen: Unseen[];
}

/**
 * Customer managed keys of one account and region, by the credentials that the AWS SDK finds (environment, shared files, roles). It asks for kms:ListKeys, ListAliases,
 * DescribeKey, GetKeyRotationStatus, ListResourceTags and GetPublicKey, and changes nothing.
 * @throws CommandError when not even the list of keys can be had
 */
export const keysInAwsKms = (region: string, look: AwsLook): AsyncGenerator<DiscoveredKey> =>
  withAws({ region }, async function* (kms, client) {
    const aliases = (await asked(look.unseen, 'aliases', () => aliasesOf(kms, client)))?.of;
    for await (const arn of listed(kms, client, region)) {
      const ask = async () => (await client.send(new kms.DescribeKeyCommand({ KeyId: arn }))).KeyMetadata;
      const metadata = await asked(look.unseen, arn, ask);
      if (metadata?.KeyManager === 'CUSTOMER')
        yield discoveredInAws(await lookAt(kms, client, arn, metadata, aliases, look), look.profiles);
    }
  });

async function* listed(kms: Kms, client: KMSClient, region: string): AsyncGenerator<string> {
  try {
    yield* keyArns(kms, client);
  } catch (error) {
    throw new CommandError(
      'badInput',
      `the keys of AWS region ${region} cannot be listed (${nameOf(error)})`,
      'Check the credentials, and that they may kms:ListKeys.',
    );
  }
}

async function lookAt(
  kms: Kms,
  client: KMSClient,
  arn: string,
  about: KeyMetadata,
  aliases: ReadonlyMap<string, string[]> | undefined,
  look: AwsLook,
): Promise<AwsKey> {
  const isRotatable = about.KeySpec === 'SYMMETRIC_DEFAULT' && about.Origin === 'AWS_KMS';
  const asksRotation = isRotatable && about.KeyState === 'Enabled';
  const rotationDays = asksRotation
    ? await asked(look.unseen, arn, () => rotationDaysOf(kms, client, arn))
    : isRotatable
      ? undefined
      : ('unable' as const);
  const tags = await asked(look.unseen, arn, () => tagsOf(kms, client, arn));
  const isPair = /^(RSA|ECC|ML_DSA|SM2)/.test(about.KeySpec ?? '');
  const publicKey =
    isPair && about.KeyState === 'Enabled'
      ? await asked(look.unseen, arn, async () => (await client.send(new kms.GetPublicKeyCommand({ KeyId: arn }))).PublicKey)
      : undefined;
  return {
    ...{ arn, spec: about.KeySpec ?? 'unknown', state: about.KeyState ?? 'unknown', origin: about.Origin ?? 'unknown' },
    multiRegion: about.MultiRegion === true,
    ...(aliases === undefined ? {} : { aliases: aliases.get(about.KeyId ?? '') ?? [] }),
    ...(tags === undefined ? {} : { tags }),
    ...(rotationDays === undefined ? {} : { rotationDays }),
    ...(about.DeletionDate ? { deletionAt: about.DeletionDate.toISOString() } : {}),
    ...(about.ValidTo ? { validTo: about.ValidTo.toISOString() } : {}),
    ...(publicKey ? { publicKeySha256: spkiDigest(publicKey) } : {}),
  };
}
