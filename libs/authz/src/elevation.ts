import { createHash } from 'node:crypto';
import {
  type Action,
  actionTable,
  contextActions,
  type Elevated,
  type Elevation,
  elevationLimits,
  type Grant,
  type GrantContext,
  type PolicyBundle,
  ProblemError,
} from '@claviger/contracts';
import { type ApprovalRule, strictest } from './approval';

/** What somebody asks for: a role, or an action on a key. */
export interface WantedAccess {
  readonly role?: string | undefined;
  readonly action?: Action | undefined;
  readonly key?: string | undefined;
  readonly context?: GrantContext | undefined;
  readonly minutes: number;
  readonly uses?: number | undefined;
}
/** Of the key that is asked for. */
export interface WantedKey {
  readonly environment: string;
  readonly classification: string;
}
export interface Requester {
  readonly id: string;
  /** Whether it has the role, or is in the group, that an entry names. */
  is(entry: string): boolean;
  readonly mfa: boolean;
}

/** Who has to approve, and by which rules. */
export interface ElevationDecision extends ApprovalRule {
  readonly rules: readonly string[];
}

/**
 * By which rules of the bundle this may be asked for, and whose approval it needs. All rules that are about it, and that the requester is one for, have to be
 * kept. Throws ERR_MALFORMED_REQUEST, ERR_ELEVATION_REFUSED, ERR_SECOND_FACTOR_REQUIRED.
 */
export function decideElevation(
  { elevations = [] }: Pick<PolicyBundle, 'elevations'>,
  wanted: WantedAccess,
  requester: Requester,
  key?: WantedKey,
): ElevationDecision {
  assertShaped(wanted);
  const name = wantedText(wanted);
  const matching = elevations.filter((rule) => isAbout(rule, wanted, key) && rule.requesters.some((entry) => requester.is(entry)));
  if (matching.length === 0) throw refused(`no rule of elevations lets you ask for ${name}`);
  const mostMinutes = Math.min(...matching.map(({ maxMinutes }) => maxMinutes));
  if (wanted.minutes > mostMinutes) throw refused(`${name} may be asked for ${mostMinutes} minutes at most`);
  const mostUses = Math.min(...matching.map(({ maxUses = Number.POSITIVE_INFINITY }) => maxUses));
  if ((wanted.uses ?? Number.POSITIVE_INFINITY) > mostUses) throw refused(`${name} may be asked for ${mostUses} uses at most`);
  if (matching.some(({ mfa }) => mfa) && !requester.mfa)
    throw new ProblemError('ERR_SECOND_FACTOR_REQUIRED', `Whoever asks for ${name} needs one.`);
  const rules = matching.map(({ id }) => id);
  const rule = strictest(matching);
  if (!rule) throw refused(`the rules ${rules.join(', ')} name no role or group that could approve ${name}`);
  return { ...rule, rules };
}

/** For people. */
export const wantedText = ({ role, action, key }: Pick<WantedAccess, 'role' | 'action' | 'key'>): string =>
  role === undefined ? `${action} of ${key}` : `the role ${role}`;

function assertShaped({ role, action, key, context }: WantedAccess): void {
  const isRole = role !== undefined && action === undefined && key === undefined && context === undefined;
  const isKey = role === undefined && action !== undefined && key !== undefined;
  if (!isRole && !isKey) throw malformed('Ask for a role, or for an action and a key.');
  if (action !== undefined && actionTable[action] !== 'Key') throw malformed(`${action} is about no single key.`);
  if (context && !contextActions.has(action as string)) throw malformed(`${action} has no encryption context.`);
}

function isAbout(rule: Elevation, { role, action }: WantedAccess, key: WantedKey | undefined): boolean {
  if ('role' in rule) return rule.role === role;
  return (
    action !== undefined &&
    key !== undefined &&
    rule.actions.includes(action) &&
    (rule.environments?.some((one) => one === key.environment) ?? true) &&
    (rule.classifications?.some((one) => one === key.classification) ?? true)
  );
}

/** One change gives one grant: its id follows from that of the change. */
export const grantIdOf = (change: string): string => `jit-${createHash('sha256').update(change).digest('hex').slice(0, 32)}`;

/** The grant that was asked for, from now on. */
export function elevatedGrant(wanted: WantedAccess, principal: string, elevated: Elevated, nowMs: number): Grant {
  const { role, action, key, context, minutes, uses } = wanted;
  const base = {
    id: grantIdOf(elevated.change),
    principal,
    notBefore: new Date(nowMs).toISOString(),
    notAfter: new Date(nowMs + minutes * 60_000).toISOString(),
    ...(uses === undefined ? {} : { uses }),
    revision: 1,
    elevated,
  };
  return role === undefined
    ? { ...base, action: action as Action, key: key as string, ...(context ? { context } : {}) }
    : { ...base, role };
}

/** The bundle with one grant more; the same bundle where it has it. */
export const withGrant = <B extends Pick<PolicyBundle, 'grants'>>(bundle: B, grant: Grant): B =>
  bundle.grants.some(({ id }) => id === grant.id) ? bundle : { ...bundle, grants: [...bundle.grants, grant] };

/** Without one; undefined where it has none of that id. */
export const withoutGrant = <B extends Pick<PolicyBundle, 'grants'>>(bundle: B, id: string): B | undefined =>
  bundle.grants.some((grant) => grant.id === id) ? { ...bundle, grants: bundle.grants.filter((grant) => grant.id !== id) } : undefined;

/** Whether it was asked for and has been over for some minutes. */
export const isSwept = ({ elevated, notAfter }: Grant, nowMs: number): boolean =>
  elevated !== undefined && notAfter !== undefined && Date.parse(notAfter) + elevationLimits.sweptAfterMinutes * 60_000 <= nowMs;

type Kept = Pick<PolicyBundle, 'principals' | 'roles' | 'grants' | 'breakGlassReviews'>;

/**
 * What is published, with the grants that were asked for and the open reviews as they are in force: a folder has neither, and nobody publishes some or takes
 * them away. A grant goes where its principal or role does.
 */
export function carriedOver<B extends Kept>(stored: Kept, proposed: B): B {
  const { breakGlassReviews: _, ...rest } = proposed;
  const principals = new Set(proposed.principals.map(({ id }) => id));
  const roles = new Set(proposed.roles.map(({ id }) => id));
  const kept = stored.grants.filter(
    (grant) => grant.elevated && principals.has(grant.principal) && (!('role' in grant) || roles.has(grant.role)),
  );
  const { breakGlassReviews = [] } = stored;
  return {
    ...rest,
    grants: [...proposed.grants.filter(({ elevated }) => !elevated), ...kept],
    ...(breakGlassReviews.length > 0 ? { breakGlassReviews } : {}),
  } as B;
}

/** What of a bundle people publish, and keep in a folder. */
export const authored = ({ breakGlassReviews: _, ...bundle }: PolicyBundle): PolicyBundle => ({
  ...bundle,
  grants: bundle.grants.filter(({ elevated }) => !elevated),
});

const refused = (why: string) => new ProblemError('ERR_ELEVATION_REFUSED', `${why[0]?.toUpperCase()}${why.slice(1)}.`);
const malformed = (why: string) => new ProblemError('ERR_MALFORMED_REQUEST', why);
