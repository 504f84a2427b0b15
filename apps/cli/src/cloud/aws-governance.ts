import type { GrantListEntry, KeyMetadata, KMSClient } from '@aws-sdk/client-kms';
import { type AwsTarget, aliasesOf, type Kms, keyArns, nameOf, rotationDaysOf, tagsOf, withAws } from '../discovery/aws-asks';
import { KeyPolicy } from './key-policy';
import { type CloudGrant, CloudKey, type CloudPart, type SeenKey, type SeenSite } from './site';
import { jsonAs } from './strict-json';

/**
 * What governs every customer managed key of one account and region. It asks for kms:ListKeys, ListAliases, DescribeKey, GetKeyPolicy, ListGrants, GetKeyRotationStatus and
 * ListResourceTags, and changes nothing. What is refused is unseen; it throws nothing of what AWS answers.
 */
export async function siteInAwsKms(target: AwsTarget, progress: (keys: number) => void): Promise<SeenSite> {
  const { region } = target;
  const keys: SeenKey[] = [];
  let owner: string | undefined;
  try {
    const looked = withAws(target, async function* (kms, client) {
      const aliases = await answered(() => aliasesOf(kms, client));
      if (aliases.ok) owner = accountIn(aliases.value.someArn);
      for await (const arn of keyArns(kms, client)) {
        owner ??= accountIn(arn);
        const seen = await lookAt(kms, client, arn, aliases.ok ? { ok: true, value: aliases.value.of } : aliases);
        if (seen) yield seen;
      }
    });
    for await (const key of looked) progress(keys.push(key));
  } catch (error) {
    return { region, keys: [], unseen: `its keys cannot be listed: ${nameOf(error)}` };
  }
  // Not even an alias of AWS itself: nothing says whose region it is that has no keys.
  if (owner === undefined) return { region, keys: [], unseen: 'it has no key and no alias, so whose account it is is not known' };
  return { region, account: owner, keys };
}

type Answer<T> = { ok: true; value: T } | { ok: false; why: string };
const answered = <T>(ask: () => Promise<T>): Promise<Answer<T>> =>
  ask().then(
    (value) => ({ ok: true, value }),
    (error) => ({ ok: false, why: nameOf(error) }),
  );

const accountIn = (arn: string | undefined): string | undefined => /^arn:[a-z-]+:kms:[a-z0-9-]+:(\d{12}):/.exec(arn ?? '')?.[1];
const idIn = (arn: string): string => arn.split('/').at(-1) ?? arn;

type Aliases = Answer<ReadonlyMap<string, string[]>>;

/** Undefined of a key that AWS manages itself. */
async function lookAt(kms: Kms, client: KMSClient, arn: string, aliases: Aliases): Promise<SeenKey | undefined> {
  const described = await answered(async () => (await client.send(new kms.DescribeKeyCommand({ KeyId: arn }))).KeyMetadata);
  if (!described.ok) return { id: idIn(arn), unseen: [{ part: 'key', why: described.why }] };
  const about = described.value;
  if (about?.KeyManager === 'AWS') return undefined;
  if (about?.KeyManager !== 'CUSTOMER') return { id: idIn(arn), unseen: [{ part: 'key', why: 'it does not say who manages it' }] };
  const id = about.KeyId ?? idIn(arn);
  const isRotatable = about.KeySpec === 'SYMMETRIC_DEFAULT' && about.Origin === 'AWS_KMS' && /^(En|Dis)abled$/.test(about.KeyState ?? '');
  const [policy, grants, tags, rotationDays] = await Promise.all([
    policyOf(kms, client, arn),
    answered(() => grantsOf(kms, client, arn)),
    answered(() => tagsOf(kms, client, arn)),
    answered(async () => (isRotatable ? await rotationDaysOf(kms, client, arn) : undefined)),
  ]);
  const names: Answer<string[]> = aliases.ok ? { ok: true, value: [...(aliases.value.get(id) ?? [])].sort() } : aliases;
  const asked = { aliases: names, ...{ policy, grants, tags, rotationDays } };
  const unseen = Object.entries(asked).flatMap(([part, answer]) => (answer.ok ? [] : [{ part: part as CloudPart, why: answer.why }]));
  const told = Object.entries(asked).flatMap(([part, answer]) => (answer.ok && answer.value !== undefined ? [[part, answer.value]] : []));
  const read = readable({ id, ...factsIn(about), ...Object.fromEntries(told) });
  return read.ok ? { id, key: read.value, unseen } : { id, unseen: [{ part: 'key', why: read.why }] };
}

/** A field that is not as it is known to be is not taken for one that is fine. */
function readable(told: object): Answer<Partial<CloudKey>> {
  const parsed = jsonAs(CloudKey.partial(), JSON.stringify(told));
  return typeof parsed === 'string' ? { ok: false, why: `it cannot be read: ${parsed}` } : { ok: true, value: parsed.data };
}

const factsIn = (about: KeyMetadata) => ({
  ...{ state: about.KeyState, spec: about.KeySpec, usage: about.KeyUsage, origin: about.Origin },
  ...(about.DeletionDate ? { deletionAt: about.DeletionDate.toISOString() } : {}),
  ...(about.ValidTo ? { validTo: about.ValidTo.toISOString() } : {}),
  ...(about.CustomKeyStoreId ? { customKeyStore: about.CustomKeyStoreId } : {}),
  ...(about.MultiRegion
    ? {
        multiRegion: {
          type: about.MultiRegionConfiguration?.MultiRegionKeyType,
          primary: about.MultiRegionConfiguration?.PrimaryKey?.Region,
          replicas: (about.MultiRegionConfiguration?.ReplicaKeys ?? []).map(({ Region }) => Region).sort(),
        },
      }
    : {}),
});

/** A key has one policy, and its name is `default`. */
async function policyOf(kms: Kms, client: KMSClient, arn: string): Promise<Answer<KeyPolicy>> {
  const answer = await answered(() => client.send(new kms.GetKeyPolicyCommand({ KeyId: arn, PolicyName: 'default' })));
  if (!answer.ok) return answer;
  const parsed = jsonAs(KeyPolicy, answer.value.Policy ?? '');
  return typeof parsed === 'string' ? { ok: false, why: `it cannot be read: ${parsed}` } : { ok: true, value: parsed.data };
}

async function grantsOf(kms: Kms, client: KMSClient, arn: string): Promise<CloudGrant[]> {
  const all: CloudGrant[] = [];
  for await (const page of kms.paginateListGrants({ client }, { KeyId: arn })) all.push(...(page.Grants ?? []).map(grantIn));
  const text = new Map(all.map((grant) => [JSON.stringify(grant), grant]));
  return [...text].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, grant]) => grant);
}

function grantIn(entry: GrantListEntry): CloudGrant {
  const { EncryptionContextEquals, EncryptionContextSubset, SourceArn } = entry.Constraints ?? {};
  const given: [keyof CloudGrant, unknown][] = [
    ['grantee', entry.GranteePrincipal],
    ['granteeService', entry.GranteeServicePrincipal],
    ['retiring', entry.RetiringPrincipal],
    ['retiringService', entry.RetiringServicePrincipal],
    ['issuingAccount', entry.IssuingAccount],
    ['operations', [...(entry.Operations ?? [])].sort()],
    ['equals', EncryptionContextEquals],
    ['includes', EncryptionContextSubset],
    ['sourceArn', SourceArn],
  ];
  return Object.fromEntries(given.filter(([, value]) => value !== undefined && value !== null && value !== '')) as CloudGrant;
}
