import { type Decision, decidingBySituation, Evaluator, factsReadBy, type KeyAttributes, type RequestFact } from '@claviger/authz';
import { actionTable, type PolicyBundle } from '@claviger/contracts';
import { compiledOf } from '../policy-check/check';
import { addRange, emptyTally, type Tally, type Undecidable } from './changed-decisions';
import { type RecordedDecision, recordedDecision } from './recorded-decision';
import { SessionsSeen } from './sessions-seen';

/** A key as it is today. */
export interface KeyToday {
  readonly revision: number;
  readonly attrs: KeyAttributes;
}
export interface ShardInput {
  readonly candidate: PolicyBundle;
  readonly keys: ReadonlyMap<string, KeyToday>;
  /** Records before it tell of sessions only. */
  readonly firstIndex: number;
  readonly firstMs: number;
}

/** Distinct decisions that are remembered. */
const maxDecisions = 200_000;

/**
 * Part of a replay: every record of the ledger that it is given is decided anew by the candidate, with what the record says. Nothing is guessed: what the
 * candidate's policies for the action can read, and the record does not hold, makes it undecidable.
 */
export function simulationShard({ candidate, keys, firstIndex, firstMs }: ShardInput) {
  const evaluator = new Evaluator({ maxDecisions });
  const loaded = evaluator.load(candidate);
  if (!loaded.ok) throw new Error(`the candidate does not load: ${loaded.issues.map(({ message }) => message).join('; ')}`);
  const compiled = compiledOf(candidate, 'claviger.simulate', 'in-force');
  const facts = factsReadBy(compiled);
  const decideAlike = decidingBySituation(candidate, compiled, (request) => evaluator.decide(request));
  const sessions = new SessionsSeen();
  // A guard on who created a key must not pass for one that does not apply.
  const readsCreator = candidate.policies.includes('createdBy');
  const isKnown = (keyId: string): boolean => {
    const key = keys.get(keyId);
    return key !== undefined && !(readsCreator && key.attrs.createdBy === undefined);
  };
  let tally = emptyTally();

  const lacking = (asked: RecordedDecision): Undecidable | undefined => {
    const isAboutKey = actionTable[asked.action] === 'Key';
    if (isAboutKey && asked.keyId === undefined) return 'no key is named';
    if (isAboutKey && !(isKnown(asked.keyId!) && (asked.to === undefined || isKnown(asked.to.keyId)))) return 'the key is not known';
    const read = new Set<RequestFact>([...(facts.get(asked.action) ?? []), ...(asked.to ? (facts.get('crypto:ReEncryptTo') ?? []) : [])]);
    if (read.has('mfa') && asked.mfa === undefined) return 'the record does not say whether there was a second factor';
    if (asked.tookGrants) return 'it took a use of a grant, which is not counted again';
    if (read.has('acr')) return 'the record does not say how its issuer authenticated the caller (acr)';
    if (read.has('ip')) return 'its address is not in the ledger, or was erased';
    if (read.has('newOwner') && asked.action === 'keys:SetOwner') return 'the record does not say who the new owner was';
    if ((read.has('authMethod') || read.has('sessionAgeSeconds')) && !sessions.get(asked.session))
      return 'its session is not in the ledger';
    return undefined;
  };
  const decide = (
    asked: RecordedDecision,
    action: RecordedDecision['action'],
    keyId: string | undefined,
    context: RecordedDecision['context'],
  ) => {
    const session = sessions.get(asked.session);
    const key = keyId === undefined ? undefined : keys.get(keyId);
    return decideAlike({
      principalId: asked.principal,
      action,
      resource:
        keyId !== undefined && key && actionTable[action] === 'Key'
          ? { type: 'Key', id: keyId, revision: key.revision, attrs: key.attrs }
          : { type: 'System', id: 'claviger' },
      context: {
        mfa: asked.mfa ?? false,
        authMethod: session?.method ?? '',
        nowMs: asked.timeMs,
        ...(session ? { sessionAgeSeconds: Math.max(0, Math.floor((asked.timeMs - session.openedMs) / 1_000)) } : {}),
        ...(context ? { encryptionContext: context } : {}),
      },
    });
  };
  const compare = (asked: RecordedDecision, index: number, time: string): void => {
    tally.decisions += 1;
    const why = lacking(asked);
    const first = why ? undefined : decide(asked, asked.action, asked.keyId, asked.context);
    const second = first && asked.to ? decide(asked, 'crypto:ReEncryptTo', asked.to.keyId, asked.to.context) : undefined;
    const decision = first && second ? stricter(first, second) : first;
    if (!decision || (decision.kind === 'deny' && decision.failure)) {
      const reason = why ?? 'the policies fail on it';
      addRange(tally.undecidable, `${reason} ${asked.action}`, { why: reason, action: asked.action, count: 1, first: index, last: index });
      return;
    }
    const known = asked.keyId === undefined ? undefined : keys.get(asked.keyId);
    const keyChanged = known !== undefined && asked.keyRevision !== undefined && known.revision !== asked.keyRevision ? 1 : 0;
    tally.keyChanged += keyChanged;
    if (decision.kind === asked.verdict) {
      tally.unchanged += 1;
      if (!sameNames(asked.policies, [...new Set([...(first?.policyIds ?? []), ...(second?.policyIds ?? [])])])) tally.otherPolicies += 1;
      return;
    }
    const { principal, action, keyId, verdict: was, policies: wasBy } = asked;
    const key = JSON.stringify([principal, action, keyId, asked.to?.keyId, was, wasBy, decision.kind, decision.policyIds]);
    const existing = tally.changed.get(key);
    if (existing) {
      existing.count += 1;
      existing.last = index;
      existing.keyChanged += keyChanged;
      return;
    }
    const session = sessions.get(asked.session);
    tally.changed.set(key, {
      ...{ principal, action, was, wasBy, is: decision.kind, isBy: decision.policyIds, why: decision.reason },
      ...{ count: 1, first: index, last: index, keyChanged },
      ...(keyId === undefined ? {} : { keyId }),
      example: {
        time,
        ...(asked.mfa === undefined ? {} : { mfa: asked.mfa }),
        ...(session ? { method: session.method } : {}),
        ...(asked.context ? { context: asked.context } : {}),
      },
    });
  };
  return {
    /** One leaf of the ledger, as it was hashed. */
    take(line: string, index: number): void {
      if (line.startsWith('{"kind":"session",')) sessions.note(JSON.parse(line));
      if (index < firstIndex || !line.startsWith('{"kind":"operation",')) return;
      const record = JSON.parse(line) as { time: string };
      const asked = recordedDecision(record);
      if (typeof asked === 'string') tally.passed[asked] = (tally.passed[asked] ?? 0) + 1;
      else if (asked.timeMs >= firstMs) compare(asked, index, record.time);
    },
    /** What was found since it was asked last. */
    drain(): Tally {
      const found = { ...tally, evaluated: evaluator.counts.evaluated };
      evaluator.counts.evaluated = 0;
      tally = emptyTally();
      return found;
    },
  };
}
export type SimulationShard = ReturnType<typeof simulationShard>;

const strictness = { deny: 2, 'needs-approval': 1, allow: 0 } as const;
const stricter = (a: Decision, b: Decision): Decision => (strictness[b.kind] > strictness[a.kind] ? b : a);
const sameNames = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && (a.length < 2 ? a[0] === b[0] : [...a].sort().join(' ') === [...b].sort().join(' '));
