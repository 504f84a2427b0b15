import { z } from 'zod';
import { GroupName } from './groups';
import { Classification, Environment, KeyId, PrincipalId, principalPattern, printable } from './primitives';

/**
 * The windows of quotas: each begins at a whole multiple of its length since 1970-01-01 UTC. `stream` holds its counters for `keepSeconds` after they were last
 * changed: longer than the window, so that none is forgotten while it counts.
 */
export const quotaWindows = {
  second: { ms: 1_000, stream: 'QUOTA_SECOND', keepSeconds: 15 },
  minute: { ms: 60_000, stream: 'QUOTA_MINUTE', keepSeconds: 180 },
  hour: { ms: 3_600_000, stream: 'QUOTA_HOUR', keepSeconds: 7_500 },
  day: { ms: 86_400_000, stream: 'QUOTA_DAY', keepSeconds: 176_400 },
} as const;
export type QuotaWindow = keyof typeof quotaWindows;
/** Uses of grants are counted for as long as there is a broker. */
export const grantUses = { stream: 'GRANT_USES', subject: 'quota.v1.grant' } as const;

const stream = (window: QuotaWindow) => ({
  subjects: [`quota.v1.${window}.>`],
  maxAgeSeconds: quotaWindows[window].keepSeconds,
  summary: `Counts of quotas for a ${window}`,
});
/** Streams of counters: JetStream adds up what is published under a subject (`Nats-Incr`), and takes nothing else. */
export const counterStreams = {
  QUOTA_SECOND: stream('second'),
  QUOTA_MINUTE: stream('minute'),
  QUOTA_HOUR: stream('hour'),
  QUOTA_DAY: stream('day'),
  /** 0: for ever. */
  GRANT_USES: { subjects: [`${grantUses.subject}.>`], maxAgeSeconds: 0, summary: 'Uses of grants' },
} as const;
export type CounterStreamName = keyof typeof counterStreams;

export const quotaLimits = { quotas: 200, actions: 64, limit: 1_000_000_000_000, uses: 1_000_000_000 } as const;

/** What a quota counts apart from each other: `all` counts everything that it matches as one. */
export const quotaPer = ['principal', 'key', 'principal+key', 'all'] as const;

/**
 * At most `limit` operations in each window, over all processes of all services. It matches an operation when everything that it says of it does: who (`principal`, `role`, `group`), with
 * which key (`key`, `classification`, `environment`; operations without a key match only where none of these is said), and what (`actions`).
 */
export const Quota = z.strictObject({
  id: z.string().regex(principalPattern, 'a quota id is 1 to 64 of a-z, 0-9 and -'),
  description: printable(500).optional(),
  principal: PrincipalId.optional(),
  /** Whoever holds this role now. */
  role: z.string().regex(principalPattern).optional(),
  /** Whoever is in this group (`tenant/id`), directly or through member groups. */
  group: GroupName.optional(),
  key: KeyId.optional(),
  classification: Classification.optional(),
  environment: Environment.optional(),
  /** Actions (`crypto:Sign`), or all of a service (`crypto`). */
  actions: z
    .array(z.string().regex(/^[a-z]{1,32}(:[A-Za-z]{1,64})?$/, 'an action, or the name of a service'))
    .min(1)
    .max(quotaLimits.actions),
  per: z.enum(quotaPer),
  limit: z.int().min(1).max(quotaLimits.limit),
  window: z.enum(Object.keys(quotaWindows) as [QuotaWindow, ...QuotaWindow[]]),
});
export type Quota = z.infer<typeof Quota>;

/** What is counted as one: a principal, a key, both or neither. */
export interface QuotaSubject {
  principal?: string | undefined;
  keyId?: string | undefined;
}

/** Subject of the counters of one window: `.drawn`, and `.returned`. No id has a dot. */
export const quotaCounter = ({ id, window }: Pick<Quota, 'id' | 'window'>, of: QuotaSubject, index: number): string =>
  `quota.v1.${window}.${id}.${of.principal ?? '_'}.${of.keyId ?? '_'}.${index}`;

export const quotaWindowIndex = (window: QuotaWindow, ms: number): number => Math.floor(ms / quotaWindows[window].ms);

/** Subject of the counters of a grant's uses: `.drawn`, and `.returned`. */
export const grantCounter = (id: string, principal: string): string => `${grantUses.subject}.${id}.${principal}`;
