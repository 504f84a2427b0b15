import type { Drift } from '../policy-check/drift';
import { isExpected } from './expected-grants';
import { statementsOf } from './key-policy';
import { type CloudGrant, type CloudKey, type CloudPart, type CloudSite, type SeenKey, type SeenSite, siteName } from './site';

/** One thing in which what governs a key of a cloud KMS is not what is committed. */
export interface CloudDrift extends Drift {
  readonly environment: string;
  /** `key` where a key as a whole only runs or is only committed; else what of it: `policy`, `grants`, `state`, … */
  readonly part: CloudPart | 'key';
  readonly id: string;
  /** In words: the statement, the grant, the alias, or both values. */
  readonly what: string;
}
export interface CloudUnseen {
  readonly place: string;
  readonly why: string;
}
export interface Compared {
  readonly drift: readonly CloudDrift[];
  readonly unseen: readonly CloudUnseen[];
}

/** What was seen of an account and region against what is committed of it. What was not seen is neither the same nor different. */
export function siteDrift(seen: SeenSite, committed: CloudSite | undefined): Compared {
  const environment = siteName({ account: seen.account ?? '?', region: seen.region });
  if (seen.unseen !== undefined) return { drift: [], unseen: [{ place: environment, why: seen.unseen }] };
  const was = new Map(committed?.keys.map((key) => [key.id, key]));
  const is = new Set(seen.keys.map(({ id }) => id));
  const whole = (id: string, how: Drift['how'], key: Partial<CloudKey>): CloudDrift => ({
    ...{ environment, part: 'key', id, how, what: keyWords(key) },
  });
  const found = seen.keys.flatMap((one): CloudDrift[] => {
    const before = was.get(one.id);
    if (one.key === undefined) return [];
    return before ? keyDrift(environment, one, one.key, before) : [whole(one.id, 'only runs', one.key)];
  });
  const gone = [...was.values()].filter(({ id }) => !is.has(id)).map((key) => whole(key.id, 'only committed', key));
  const unseen = seen.keys.flatMap((one) =>
    one.unseen.map(({ part, why }) => ({ place: `${environment} ${one.id}${part === 'key' ? '' : ` ${part}`}`, why })),
  );
  return { drift: [...found, ...gone], unseen };
}

const keyWords = ({ spec, state, aliases = [] }: Partial<CloudKey>): string =>
  [spec, state, aliases.join(', ') || 'no alias'].filter((word) => word !== undefined).join(', ');

/** Things by their meaning, with words for people. */
type Things = ReadonlyMap<string, string>;

function keyDrift(environment: string, { id, unseen }: SeenKey, now: Partial<CloudKey>, was: CloudKey): CloudDrift[] {
  const { expectedGrants = [] } = was;
  const is = { ...now, grants: now.grants?.filter((grant) => !isExpected(grant, expectedGrants)) };
  const left = new Set<string>(unseen.map(({ part }) => part));
  // AWS rotates nothing in another state, and says nothing of it.
  if (is.rotationDays === undefined && is.state !== 'Enabled' && is.state !== 'Disabled') left.add('rotationDays');
  return (Object.keys(thingsOf) as CloudPart[])
    .filter((part) => !left.has(part))
    .flatMap((part): CloudDrift[] => {
      const [runs, before] = [thingsOf[part](is), thingsOf[part](was)];
      const only = (these: Things, those: Things) => [...these].filter(([meaning]) => !those.has(meaning)).map(([, words]) => words);
      const [onlyRuns, onlyCommitted] = [only(runs, before), only(before, runs)];
      const tell = (how: Drift['how']) => (what: string) => ({ environment, part, id, how, what });
      if (runs.size === 1 && before.size === 1 && !isList.has(part))
        return onlyRuns.map((what, n) => tell('differs')(`${onlyCommitted[n]} is committed, ${what} runs`));
      return [...onlyRuns.map(tell('only runs')), ...onlyCommitted.map(tell('only committed'))];
    });
}

const isList: ReadonlySet<CloudPart> = new Set(['aliases', 'tags', 'policy', 'grants']);
const one = (value: string | number | undefined): Things => new Map(value === undefined ? [] : [[String(value), String(value)]]);
const texts = (all: readonly string[] = []): Things => new Map(all.map((text) => [text, text]));

const thingsOf: Readonly<Record<CloudPart, (key: Partial<CloudKey>) => Things>> = {
  state: ({ state }) => one(state),
  deletionAt: ({ deletionAt }) => one(deletionAt),
  spec: ({ spec }) => one(spec),
  usage: ({ usage }) => one(usage),
  origin: ({ origin }) => one(origin),
  validTo: ({ validTo }) => one(validTo),
  customKeyStore: ({ customKeyStore }) => one(customKeyStore),
  multiRegion: ({ multiRegion }) =>
    one(multiRegion && `${multiRegion.type} of ${multiRegion.primary}, replicas: ${[...multiRegion.replicas].sort().join(', ') || 'none'}`),
  rotationDays: ({ rotationDays }) => one(rotationDays === 0 ? 'never rotated' : rotationDays && `every ${rotationDays} days`),
  aliases: ({ aliases }) => texts(aliases),
  tags: ({ tags = {} }) => new Map(Object.entries(tags).map(([name, value]) => [JSON.stringify([name, value]), `${name}=${value}`])),
  policy: ({ policy }) => (policy ? statementsOf(policy) : new Map()),
  grants: ({ grants = [] }) => new Map(grants.map((grant) => [grantMeaning(grant), grantWords(grant)])),
};

const sortedPairs = (pairs: Record<string, string> | undefined) => pairs && Object.entries(pairs).sort(([a], [b]) => (a < b ? -1 : 1));

/** Who may do what, under which constraints, and who may end it. */
const grantMeaning = (grant: CloudGrant): string =>
  JSON.stringify(
    [
      ...[grant.grantee, grant.granteeService, grant.retiring, grant.retiringService, grant.issuingAccount, grant.sourceArn],
      ...[[...new Set(grant.operations)].sort(), sortedPairs(grant.equals), sortedPairs(grant.includes)],
    ].map((part) => part ?? null),
  );

function grantWords({ grantee, granteeService, operations, equals, includes, sourceArn }: CloudGrant): string {
  const constraints = [
    equals && `for exactly ${JSON.stringify(equals)}`,
    includes && `for at least ${JSON.stringify(includes)}`,
    sourceArn && `on behalf of ${sourceArn}`,
  ].filter((part) => part !== undefined);
  return [`${operations.join(', ')} to ${grantee ?? granteeService ?? 'nobody named'}`, ...constraints].join(' ').slice(0, 1_000);
}
