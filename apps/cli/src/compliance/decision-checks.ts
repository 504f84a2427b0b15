import { claviger, type Decision, Evaluator, parsePolicies, separationBreaches, subjectsOf } from '@claviger/authz';
import { Action, actions, actionTable, type ControlCheck, type Failure, groupPrefix, type PolicyBundle } from '@claviger/contracts';

/** What the policies in force decide, asked of them as a service asks: nothing is read out of their text. */
export interface Decisions {
  readonly bundle: PolicyBundle;
  readonly nowMs: number;
  /** Principals that are not disabled, one for each set of roles, groups and grants: what one of them may, all of them may. */
  readonly callers: readonly Caller[];
  decide(
    caller: Pick<Caller, 'id'>,
    action: Action,
    about?: { environment?: string; classification?: string; mfa?: boolean; keyId?: string; owner?: string },
  ): Decision;
}
interface Caller {
  readonly id: string;
  /** It, and others like it. */
  readonly alike: number;
  readonly kind: 'person' | 'service';
  readonly roles: readonly string[];
  /** Keys on which it has grants. */
  readonly granted: readonly string[];
}

const someKey = 'k_0000000000000000000000';

/** @throws Error where the bundle cannot be loaded: then nothing can be said of its decisions */
export function decisionsOf(bundle: PolicyBundle, nowMs: number): Decisions {
  const evaluator = new Evaluator({ maxDecisions: 1_000 });
  const loaded = evaluator.load(bundle);
  if (!loaded.ok) throw new Error(`the policies in force cannot be evaluated here: ${loaded.issues[0]?.message ?? loaded.code}`);
  return {
    bundle,
    nowMs,
    callers: callersOf(bundle, nowMs),
    // The key names the caller as owner and consumer, and nobody as its creator: what is denied here is denied of every other key as well.
    decide: (
      { id },
      action,
      { environment = 'production', classification = 'restricted', mfa = true, keyId = someKey, owner = id } = {},
    ) => {
      const attrs = { environment, classification, owner, consumers: [owner], algorithm: 'AES_256', usage: 'encrypt' };
      const resource = actionTable[action] === 'Key' ? ({ type: 'Key', id: keyId, revision: 1, attrs } as const) : claviger;
      return evaluator.decide({ principalId: id, action, resource, context: { mfa, authMethod: 'token', nowMs } });
    },
  };
}

function callersOf(bundle: PolicyBundle, nowMs: number): Caller[] {
  const subjectOf = subjectsOf(bundle);
  const classes = new Map<string, Caller>();
  for (const { id, kind, disabled } of bundle.principals) {
    const subject = subjectOf(id);
    if (disabled || !subject) continue;
    const roles = subject.rolesAt(nowMs).sort();
    const granted = bundle.grants.flatMap((grant) => (grant.principal === id && 'key' in grant ? [`${grant.key}`] : []));
    // A policy may name it: then it is like nobody else.
    const alone = granted.length > 0 || bundle.policies.includes(`"${id}"`) ? id : '';
    const name = JSON.stringify([kind, roles, subject.groups, alone]);
    const known = classes.get(name);
    classes.set(
      name,
      known ? { ...known, alike: known.alike + 1 } : { id, alike: 1, kind, roles, granted: [...new Set(granted)].slice(0, 100) },
    );
  }
  return [...classes.values()];
}

export type DecisionCheck = Extract<
  ControlCheck,
  {
    check:
      | 'second-factor'
      | 'administrators-never-use'
      | 'approvals'
      | 'nobody-may'
      | 'roles-separated'
      | 'quorum-attainable'
      | 'role-holders';
  }
>;

/** What was looked at, in words, and what is wrong with it. */
export interface Looked {
  readonly lookedAt: string;
  readonly failures: readonly Failure[];
}

/** What changes a production key, left out what only stops its use: that must wait for nothing. */
const administering: readonly Action[] = [
  'keys:Create',
  'keys:Rotate',
  'keys:RotateKek',
  'keys:Activate',
  'keys:Resume',
  'keys:ScheduleDeletion',
  'keys:CancelDeletion',
  'keys:SetConsumers',
  'keys:SetOwner',
  'keys:SetRotation',
  'keys:ImportParameters',
  'keys:ImportMaterial',
  'keys:DeleteMaterial',
  'keys:Export',
  'keys:Unprotect',
  'keys:SetAlias',
  'keys:SetClassification',
  'keys:SetResidency',
];
const using = actions.filter((action) => action.startsWith('crypto:') && actionTable[action] === 'Key' && action !== 'crypto:GetPublicKey');
const may = ({ kind }: Decision): boolean => kind !== 'deny';
const asActions = (names: readonly string[]): Action[] => names.flatMap((name) => Action.safeParse(name).data ?? []);
const named = ({ id, alike }: Caller) => ({ object: id, ...(alike > 1 ? { name: `and ${alike - 1} like it` } : {}), owner: id });
const by = ({ policyIds }: Decision) => (policyIds.length > 0 ? ` (by ${policyIds.join(', ')})` : '');

/** Decides many questions of one kind; the clause that asks is in the pack. */
export function decisionCheck(check: DecisionCheck, decisions: Decisions): Looked {
  const { callers, decide, bundle, nowMs } = decisions;
  const all = callers.reduce((sum, { alike }) => sum + alike, 0);
  const people = `${all} principals (${callers.length} kinds of them)`;
  switch (check.check) {
    case 'second-factor': {
      const failures = callers.flatMap((caller) => {
        const found = administering.filter((action) => may(decide(caller, action, { mfa: false })));
        return found.length === 0
          ? []
          : [
              {
                ...named(caller),
                why: `may without a second factor: ${found.join(', ')}${by(decide(caller, found[0] as Action, { mfa: false }))}`,
                next: 'a policy that forbids it unless context.mfa, as production-needs-mfa of the starter set does',
              },
            ];
      });
      return { lookedAt: `${people}, ${administering.length} actions each`, failures };
    }
    case 'administrators-never-use': {
      const failures = callers.flatMap((caller) => {
        if (!(['keys:Create', 'keys:Rotate', 'keys:ScheduleDeletion'] as const).some((action) => may(decide(caller, action)))) return [];
        const keys = [someKey, ...caller.granted];
        const found = using.filter((action) => keys.some((keyId) => may(decide(caller, action, { keyId }))));
        return found.length === 0
          ? []
          : [
              {
                ...named(caller),
                why: `may administer production keys, and ${found.join(', ')} with one`,
                next: 'take one of the roles away, or put the policy separation-of-duties of the starter set in force',
              },
            ];
      });
      return { lookedAt: `${people}, ${using.length} actions each`, failures };
    }
    case 'approvals': {
      const failures = callers.flatMap((caller) =>
        asActions(check.actions).flatMap((action) =>
          check.classifications.flatMap((classification) => {
            const decision = decide(caller, action, { classification });
            if (decision.kind === 'deny') return [];
            if (decision.kind === 'needs-approval' && decision.quorum >= check.quorum) return [];
            const how = decision.kind === 'allow' ? 'alone' : `with the approval of ${decision.quorum}`;
            return [
              {
                ...named(caller),
                why: `may ${action} of a ${classification} production key ${how}${by(decision)}`,
                next: `@quorum("${check.quorum}") @approvers("…") on the permit, or a pack that has one`,
              },
            ];
          }),
        ),
      );
      return { lookedAt: `${people}, ${check.actions.length * check.classifications.length} questions each`, failures };
    }
    case 'nobody-may': {
      const failures = callers.flatMap((caller) =>
        asActions(check.actions).flatMap((action) => {
          const decision = decide(caller, action);
          return may(decision) ? [{ ...named(caller), why: `may ${action}${by(decision)}`, next: 'take the permit away' }] : [];
        }),
      );
      return { lookedAt: people, failures };
    }
    case 'roles-separated': {
      const known = new Set(bundle.roles.map(({ id }) => id));
      const pairs = check.pairs.filter((pair) => pair.every((role) => known.has(role)));
      const conflicts = pairs.map((roles) => ({ roles, reason: 'separation of duties', control: 'pack' }));
      const breaches = separationBreaches({ ...bundle, conflicts, publishedAt: new Date(nowMs).toISOString() });
      const failures = breaches.map(({ principal, conflict }) => ({
        object: principal,
        owner: principal,
        why: `holds ${conflict.roles.join(' and ')}`,
        next: 'take one of them away: principals.json, groups.json or grants.json of the policy folder',
      }));
      return { lookedAt: `${bundle.principals.length} principals, ${pairs.length} pairs of roles`, failures };
    }
    case 'role-holders': {
      const holders = holdersOf(decisions, [check.role]);
      const wrong =
        holders < check.least
          ? `${check.least} at least are asked for`
          : check.most !== undefined && holders > check.most
            ? `${check.most} at most are asked for`
            : undefined;
      const failures =
        wrong === undefined
          ? []
          : [
              {
                object: check.role,
                why: `${holders} ${holders === 1 ? 'person holds' : 'people hold'} the role, and ${wrong}`,
                next: 'principals.json or groups.json of the policy folder',
              },
            ];
      return { lookedAt: `the role ${check.role}: ${holders} people`, failures };
    }
    case 'quorum-attainable': {
      const parsed = parsePolicies(bundle.policies);
      const asking = (parsed.ok ? parsed.policies : []).flatMap(({ id, approval }) =>
        approval.kind === 'asked' ? [{ id, ...approval }] : [],
      );
      const failures = asking.flatMap(({ id, quorum, approvers }) => {
        const holders = holdersOf(decisions, approvers);
        return holders >= quorum
          ? []
          : [
              {
                object: id,
                why: `asks for the approval of ${quorum} of ${approvers.join(' or ')}, and ${holders} may give it: nobody ever gets it`,
                next: 'more people with the role, in principals.json or groups.json',
              },
            ];
      });
      return { lookedAt: `${asking.length} policies that ask for approvals`, failures };
    }
  }
}

/** People, not disabled, who hold one of these roles or are in one of these groups. */
function holdersOf({ bundle, nowMs }: Decisions, approvers: readonly string[]): number {
  const subjectOf = subjectsOf(bundle);
  return bundle.principals.filter(({ id, kind, disabled }) => {
    if (disabled || kind !== 'person') return false;
    const subject = subjectOf(id);
    const names = [...(subject?.rolesAt(nowMs) ?? []), ...(subject?.groups ?? []).map((name) => `${groupPrefix}${name}`)];
    return approvers.some((approver) => names.includes(approver));
  }).length;
}
