import { type Policy, parsePolicies } from '@claviger/authz';
import type { Alert, ControlCheck, Failure, PolicyBundle } from '@claviger/contracts';
import type { Looked } from './decision-checks';
import { dayMs, type Observed, recordQuery, type Seen } from './observed';

export type SiteCheck = Extract<
  ControlCheck,
  {
    check:
      | 'token-validated'
      | 'token-as-recorded'
      | 'kek-rotated'
      | 'pack-guards'
      | 'grants-end'
      | 'principals-identified'
      | 'backup-recent'
      | 'backup-verified'
      | 'drill-passed'
      | 'ledger-verified'
      | 'state-untampered'
      | 'alerts-answered'
      | 'recorded';
  }
>;

/** Either what was looked at and what is wrong with it, or why it could not be looked at. */
export type SiteLooked = Looked | { readonly why: string };
const on = <T>(what: string, seen: Seen<T>, look: (value: T) => SiteLooked): SiteLooked =>
  seen.ok ? look(seen.value) : { why: `${what}: ${seen.why}` };
const within = (at: string, days: number, nowMs: number) => Date.parse(at) + days * dayMs >= nowMs;
const severities: readonly Alert['severity'][] = ['low', 'medium', 'high', 'critical'];

/** What is looked at in policies, tokens, backups, the ledger and alerts. `guards`: the policies of the pack. */
export function siteCheck(check: SiteCheck, observed: Observed, guards: readonly Policy[]): SiteLooked {
  const { nowMs, bundle, tokens, keks, backups, drill, ledger, alerts, records } = observed;
  switch (check.check) {
    case 'token-validated':
      return on('the tokens', tokens, (all) => ({
        lookedAt: `${all.length} tokens`,
        failures: [
          ...all.flatMap(({ label, validation }) =>
            validation.state === 'active' && (validation.level ?? 0) >= check.levelMin
              ? []
              : [
                  {
                    object: label,
                    why: `token ${label} ${validation.why}`,
                    next: `a validated module, and its record in tokens.json (claviger tokens describe ${label})`,
                  },
                ],
          ),
          ...(all.length === 0
            ? [{ object: 'tokens', why: 'no token is on record, and no worker says which there are', next: 'claviger tokens list' }]
            : []),
        ],
      }));
    case 'token-as-recorded':
      return on('the tokens', tokens, (all) => ({
        lookedAt: `${all.length} tokens`,
        failures: all.flatMap(({ label, record, mismatches }): Failure[] => {
          if (!record) return [{ object: label, why: `nothing is on record of token ${label}`, next: 'tokens.json of the policy folder' }];
          return mismatches.map(({ what, recorded, reported }) => ({
            object: label,
            why: `its ${what} is ${recorded} on record, and it says ${reported}`,
            next: 'put the record right, or find out who changed the token',
          }));
        }),
      }));
    case 'kek-rotated':
      return on('the key-encryption keys', keks, (all) => {
        const active = all.filter(({ state }) => state === 'active');
        const undated = active.filter(({ createdAt }) => createdAt === undefined);
        if (undated.length > 0)
          return { why: `the age of ${undated.map(({ kekId }) => kekId).join(', ')}, made before that was kept: claviger keks rotate` };
        return {
          lookedAt: `${active.length} active key-encryption keys`,
          failures: active.flatMap(({ kekId, createdAt, environment, classification }) =>
            createdAt !== undefined && within(createdAt, check.withinDays, nowMs)
              ? []
              : [
                  {
                    object: kekId,
                    why: `it was made ${createdAt}`,
                    next: `claviger keks rotate --environment ${environment} --classification ${classification} --reason …`,
                  },
                ],
          ),
        };
      });
    case 'pack-guards':
      return on('the policies in force', bundle, (inForce) => guardsIn(inForce, guards));
    case 'grants-end':
      return on('the policies in force', bundle, ({ grants }) => ({
        lookedAt: `${grants.length} grants`,
        failures: grants.flatMap((grant) =>
          grant.notAfter === undefined
            ? [
                {
                  object: grant.id,
                  owner: grant.principal,
                  why: `grants ${'role' in grant ? grant.role : `${grant.action} with ${grant.key}`} to ${grant.principal} for ever`,
                  next: 'notAfter in grants.json',
                },
              ]
            : [],
        ),
      }));
    case 'principals-identified':
      return on('the policies in force', bundle, ({ principals }) => {
        const enabled = principals.filter(({ disabled }) => !disabled);
        return {
          lookedAt: `${enabled.length} principals`,
          failures: enabled.flatMap(({ id, identities }) =>
            identities.length === 0
              ? [
                  {
                    object: id,
                    owner: id,
                    why: 'it has no identity by which it is told from others',
                    next: 'identities in principals.json',
                  },
                ]
              : [],
          ),
        };
      });
    case 'backup-recent':
      return on('the backups', backups, (all) => {
        const newest = all
          .filter(({ state }) => state === 'complete')
          .map(({ createdAt }) => createdAt)
          .sort()
          .at(-1);
        const failures =
          newest !== undefined && within(newest, check.withinDays, nowMs)
            ? []
            : [
                {
                  object: 'backups',
                  why: newest === undefined ? 'there is no complete backup' : `the newest complete backup is of ${newest}`,
                  next: 'claviger backup create --reason …',
                },
              ];
        return { lookedAt: `${all.length} backups`, failures };
      });
    case 'backup-verified':
      return on('the backups', backups, (all) => {
        const proven = all
          .flatMap(({ verified }) => (verified?.ok ? [verified.at] : []))
          .sort()
          .at(-1);
        const damaged = all.flatMap(({ backupId, verified }) =>
          verified && !verified.ok
            ? [
                {
                  object: backupId,
                  why: `its verification of ${verified.at} found ${verified.failures} key versions that are not what they should be`,
                  next: `claviger backup describe ${backupId}`,
                },
              ]
            : [],
        );
        const late =
          proven !== undefined && within(proven, check.withinDays, nowMs)
            ? []
            : [
                {
                  object: 'backups',
                  why: proven === undefined ? 'no backup was ever verified' : `a backup was verified last ${proven}`,
                  next: 'claviger backup verify BACKUP',
                },
              ];
        return { lookedAt: `${all.length} backups`, failures: [...damaged, ...late] };
      });
    case 'drill-passed':
      return on('the report of a drill', drill, ({ ok, startedAt, keys, rtoSeconds, rpoSeconds }) => ({
        lookedAt: `the drill of ${startedAt}: ${keys} keys, RTO ${rtoSeconds.toFixed(1)} s, RPO ${rpoSeconds.toFixed(1)} s`,
        failures: [
          ...(ok ? [] : [{ object: 'drill', why: `the drill of ${startedAt} failed`, next: 'claviger drill dr' }]),
          ...(within(startedAt, check.withinDays, nowMs)
            ? []
            : [{ object: 'drill', why: `the drill was on ${startedAt}`, next: 'claviger drill dr' }]),
        ],
      }));
    case 'ledger-verified':
      return on('the ledger', ledger, ({ size, problems, findings }) => ({
        lookedAt: `${size} leaves`,
        failures: [
          ...problems.map((why) => ({
            object: 'ledger',
            why,
            next: 'claviger audit verify --full; nothing in the ledger is to be relied on until this is cleared up',
          })),
          ...findings.map((why) => ({
            object: 'ledger',
            why: `the ledger itself found: ${why}`,
            next: 'claviger audit query --kind finding',
          })),
        ],
      }));
    case 'state-untampered':
      return on('the ledger', records.get(recordQuery({ kind: 'refused-state' })) ?? { ok: false, why: 'it was not asked' }, (all) => {
        const recent = all.filter(({ record }) => within(String(record.time), check.withinDays, nowMs));
        return {
          lookedAt: `${recent.length} records of refused state`,
          failures: recent.map(({ index, record }) => ({
            object: String(record.keyId ?? record.key),
            why: `${record.holder} was given state of ${record.bucket} that is ${record.reason} (leaf ${index}, ${record.time}); it was not used`,
            next: 'find out who can write there: claviger audit query --kind refused-state',
          })),
        };
      });
    case 'alerts-answered':
      return on('the alerts', alerts, (all) => {
        const meant = all.filter(
          ({ severity, status }) => status === 'open' && severities.indexOf(severity) >= severities.indexOf(check.severity),
        );
        return {
          lookedAt: `${meant.length} open alerts of severity ${check.severity} or higher`,
          failures: meant.flatMap(({ alertId, title, firstSeen, keyId }) =>
            Date.parse(firstSeen) + check.withinHours * 3_600_000 < nowMs
              ? [
                  {
                    object: alertId,
                    ...(keyId ? { name: keyId } : {}),
                    why: `${title}: open since ${firstSeen}`,
                    next: `claviger alerts ack ${alertId} --note …`,
                  },
                ]
              : [],
          ),
        };
      });
    case 'recorded':
      return on('the ledger', records.get(recordQuery(check)) ?? { ok: false, why: 'it was not asked' }, (all) => {
        const { withinDays } = check;
        const meant = withinDays === undefined ? all : all.filter(({ record }) => within(String(record.time), withinDays, nowMs));
        return {
          lookedAt: `${meant.length} such records, of the newest`,
          failures:
            meant.length > 0
              ? []
              : [
                  {
                    object: 'ledger',
                    why: `there is no record of ${check.what}`,
                    next: 'docs/operations.md says how it is done and recorded',
                  },
                ],
        };
      });
  }
}

function guardsIn({ policies }: PolicyBundle, guards: readonly Policy[]): SiteLooked {
  const parsed = parsePolicies(policies);
  if (!parsed.ok) return { why: 'the policies in force: they cannot be read here' };
  const inForce = new Map(parsed.policies.map((policy) => [policy.id, policy]));
  const failures = guards.flatMap(({ id, json }) => {
    const found = inForce.get(id);
    if (found && JSON.stringify(found.json) === JSON.stringify(json)) return [];
    const pack = 'claviger policy export FOLDER, policy packs add PACK FOLDER, policy publish FOLDER --reason …';
    return [{ object: id, why: found ? 'it is in force with another content than the pack has' : 'it is not in force', next: pack }];
  });
  return { lookedAt: `${guards.length} policies of the pack`, failures };
}
