import { createHash } from 'node:crypto';
import { bundleFormat, type Grant, type Identity, type PolicyBundle, type Principal, type Role } from '@claviger/contracts';

/** What a large set is made on top of: the starter set as a rule. */
export interface StarterParts {
  readonly policies: string;
  readonly schema: string;
  readonly roles: readonly Role[];
}
export interface LargeBundleSize {
  /** In all, those of the starter set among them. */
  readonly policies: number;
  readonly principals: number;
  readonly grants?: number;
  /** Each with a role of its own. */
  readonly teams?: number;
}

const digest = (text: string, encoding: 'hex' | 'base64url' = 'hex') => createHash('sha256').update(text).digest(encoding);
/** A number below `below` that depends on the text only. */
const pick = (text: string, below: number) => Number.parseInt(digest(text).slice(0, 8), 16) % below;
export const teamRole = (team: number) => `team-${team}`;
export const largeKeyId = (n: number) => `k_${digest(`key ${n}`, 'base64url').replace(/[-_]/g, 'x').slice(0, 22)}`;

/** Of `n` principals two in three are services of a team, the others people; the same size gives the same bundle. */
export function largeBundle(starter: StarterParts, { policies, principals, grants = 500, teams = 150 }: LargeBundleSize): PolicyBundle {
  const own = starter.policies.match(/^@id\(/gm)?.length ?? 0;
  const people = Array.from({ length: principals }, (_, n) => principalOf(n, teams));
  return {
    format: bundleFormat,
    revision: 1,
    policies: [starter.policies, ...Array.from({ length: policies - own }, (_, n) => policyOf(n, teams))].join('\n'),
    schema: starter.schema,
    roles: [
      ...starter.roles,
      ...Array.from({ length: teams }, (_, team) => ({ id: teamRole(team), description: `services of team ${team}`, revision: 1 })),
    ],
    principals: people,
    grants: Array.from({ length: grants }, (_, n) => grantOf(n, people, teams)),
    publishedAt: '2026-01-01T00:00:00.000Z',
  };
}

/** The n-th: of a team, about some of the keys that bear its name. One in seven is a prohibition, one in forty is about everybody. */
function policyOf(n: number, teams: number): string {
  const team = n % teams;
  const principal = n % 40 === 39 ? 'principal' : `principal in Claviger::Role::"${teamRole(team)}"`;
  const actions = uses[n % uses.length]!.map((action) => `Claviger::Action::"${action}"`).join(', ');
  const forbids = n % 7 === 6;
  return `
@id("rule-${n}")
@control("NIST-SP-800-53r5:AC-3, PCI-DSS-4.0.1:7.2.2")
@summary("${forbids ? 'no use of' : 'use of'} the keys of team ${team} for purpose ${n}")
${forbids ? 'forbid' : 'permit'} (
  ${principal},
  action in [${actions}],
  resource is Claviger::Key
)
when { resource.hasTag("team") && resource.getTag("team") == "${teamRole(team)}" && resource.hasTag("purpose") && resource.getTag("purpose") == "p${n}" };`;
}

const uses = [
  ['crypto:Encrypt', 'crypto:Decrypt'],
  ['crypto:Sign', 'crypto:Verify', 'crypto:GetPublicKey'],
  ['crypto:GenerateDataKey', 'crypto:Decrypt'],
  ['crypto:GenerateMac', 'crypto:VerifyMac'],
] as const;
const offices = ['application-owner', 'auditor', 'operator', 'key-administrator', 'security-officer'];

function principalOf(n: number, teams: number): Principal {
  const service = n % 3 !== 0;
  const id = service ? `svc-${n}` : `person-${n}`;
  const first = pick(`team of ${n}`, teams);
  const roles = service
    ? ['application', teamRole(first), ...(n % 5 === 0 ? [teamRole((first + 1) % teams)] : [])]
    : [offices[pick(`office of ${n}`, 100) < 90 ? 0 : n % offices.length]!];
  return {
    id,
    kind: service ? 'service' : 'person',
    ...(service ? { owner: `person-${3 * (n % 32)}` } : {}),
    roles,
    disabled: n % 97 === 96,
    revision: 1 + pick(id, 9),
    identities: [identityOf(n, service)],
  };
}

/** Nothing in them can be compressed but their form. */
function identityOf(n: number, service: boolean): Identity {
  if (!service) return { kind: 'oidc', issuer: 'https://login.example.com/realms/staff', subject: digest(`subject ${n}`).slice(0, 32) };
  return n % 2 === 0
    ? { kind: 'certificate', fingerprint256: digest(`certificate ${n}`) }
    : { kind: 'spiffe', id: `spiffe://example.com/ns/team/sa/svc-${n}` };
}

function grantOf(n: number, people: readonly Principal[], teams: number): Grant {
  const { id: principal } = people[pick(`grant ${n}`, people.length)]!;
  const base = { id: `grant-${n}`, principal, revision: 1, notAfter: `2030-01-${String(1 + (n % 28)).padStart(2, '0')}T00:00:00.000Z` };
  return n % 2 === 0 ? { ...base, action: 'crypto:Encrypt', key: largeKeyId(n) } : { ...base, role: teamRole(n % teams) };
}
