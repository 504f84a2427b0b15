import type { AwsTarget } from '../discovery/aws-asks';
import { CommandError } from '../exit-codes';
import type { Output } from '../output';
import { siteInAwsKms } from './aws-governance';
import { type CommittedSite, committedSites, goodSites, writeSite } from './committed-sites';
import { isExpected } from './expected-grants';
import { type CloudKey, CloudSite, cloudFormat, type SeenSite, siteName } from './site';
import { type CloudDrift, type CloudUnseen, siteDrift } from './site-drift';

export interface CloudOptions {
  /** `REGION`, or `PROFILE@REGION`. */
  awsKms?: string[];
  /** Connected, and not to be looked at: `aws-kms/ACCOUNT/REGION`, or the beginning of it. */
  without?: string[];
}
export interface CloudLook {
  readonly sites: readonly CommittedSite[];
  readonly drift: readonly CloudDrift[];
  readonly unseen: readonly CloudUnseen[];
  /** Connected, and not looked at: nothing is known of them. */
  readonly notAsked: readonly string[];
  /** The same, as it was asked for. */
  readonly left: readonly string[];
}

/** Every connected account and region of the folder, and those that are asked for. @throws CommandError */
export async function lookAtClouds(folder: string, { awsKms = [], without = [] }: CloudOptions, output: Output): Promise<CloudLook> {
  const targets = targetsIn(awsKms);
  const sites = await goodSites(folder);
  const connected = new Map(sites.map((one) => [siteName(one.site), one.site]));
  const isLeft = (name: string) => without.some((given) => name === given || name.startsWith(`${given}/`));
  for (const given of without)
    if (![...connected.keys()].some((name) => name === given || name.startsWith(`${given}/`)))
      throw new CommandError(
        'usage',
        `--without ${given}: nothing of that name is connected`,
        `It is ${[...connected.keys()].join(', ') || 'nothing'}.`,
      );
  const seen = await lookedAt(targets, output);
  const compared = seen.map((one) => siteDrift(one, one.account === undefined ? undefined : connected.get(siteOf(one))));
  const asked = new Set(seen.map(siteOf));
  const rest = [...connected.keys()].filter((name) => !asked.has(name));
  return {
    sites,
    drift: compared.flatMap(({ drift }) => drift),
    unseen: compared.flatMap(({ unseen }) => unseen),
    notAsked: rest.filter((name) => !isLeft(name)),
    left: rest.filter(isLeft),
  };
}

/** What runs, as what is to be committed: of a site that was not seen whole nothing. @throws CommandError */
export async function writeClouds(
  folder: string,
  { awsKms = [] }: CloudOptions,
  output: Output,
): Promise<{ written: { site: string; file: string; keys: number }[]; unseen: CloudUnseen[] }> {
  const seen = await lookedAt(targetsIn(awsKms), output);
  // Also where another file cannot be read: one that cannot is written anew.
  const committed = new Map((await committedSites(folder)).sites.map(({ site }) => [siteName(site), site]));
  const written: { site: string; file: string; keys: number }[] = [];
  const unseen: CloudUnseen[] = [];
  for (const one of seen) {
    const { unseen: ofIt } = siteDrift(one, undefined);
    const before = new Map(committed.get(siteOf(one))?.keys.map(({ id, expectedGrants }) => [id, expectedGrants]));
    const keys = one.keys.map(({ id, key }) => withExpected(key, before.get(id))).sort((a, b) => ((a?.id ?? '') < (b?.id ?? '') ? -1 : 1));
    const whole = CloudSite.safeParse({ format: cloudFormat, provider: 'aws-kms', account: one.account, region: one.region, keys });
    if (ofIt.length === 0 && whole.success) written.push({ site: siteOf(one), file: writeSite(folder, whole.data), keys: keys.length });
    else unseen.push(...(ofIt.length > 0 ? ofIt : [{ place: siteOf(one), why: `keys ${whole.error?.issues[0]?.path.join('.')}` }]));
  }
  return { written, unseen };
}

/** What people said of grants that come and go stays, and those are not written. */
const withExpected = (key: Partial<CloudKey> | undefined, expectedGrants: CloudKey['expectedGrants']): Partial<CloudKey> | undefined =>
  key && expectedGrants ? { ...key, grants: key.grants?.filter((grant) => !isExpected(grant, expectedGrants)), expectedGrants } : key;

const siteOf = ({ account, region }: SeenSite): string => siteName({ account: account ?? '?', region });

/** One after the other: AWS throttles an account, not a connection. @throws CommandError when two of them are the same */
async function lookedAt(targets: readonly AwsTarget[], output: Output): Promise<SeenSite[]> {
  const seen: SeenSite[] = [];
  for (const target of targets) {
    const one = await siteInAwsKms(target, (keys) => output.progress(`${target.region}: ${keys} keys`));
    output.progress(undefined);
    if (one.account !== undefined && seen.some((other) => siteOf(other) === siteOf(one)))
      throw new CommandError('usage', `${siteOf(one)} is asked for twice`, 'Another account needs PROFILE@REGION.');
    seen.push(one);
  }
  return seen;
}

/** What `--aws-kms` names. @throws CommandError */
export function targetsIn(given: readonly string[]): AwsTarget[] {
  return given.map((text) => {
    const at = text.lastIndexOf('@');
    const [profile, region] = [text.slice(0, Math.max(at, 0)), text.slice(at + 1)];
    if (at === 0 || !CloudSite.shape.region.safeParse(region).success)
      throw new CommandError('usage', `--aws-kms wants a region such as eu-central-1, or PROFILE@REGION: ${text}`);
    return at < 0 ? { region } : { region, profile };
  });
}
