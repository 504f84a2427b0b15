import type { Client } from '@claviger/client';
import {
  Classification,
  type ComplianceReport,
  Environment,
  type Evidence,
  type EvidenceQuery,
  type PolicyBundle,
  type RegulationPack,
  type Trust,
} from '@claviger/contracts';
import { defaultMemoryFile, recall } from './checkpoint-memory';
import { type Decisions, decisionsOf } from './compliance/decision-checks';
import {
  type Drill,
  dayMs,
  type KeysSeen,
  type LedgerState,
  type Observed,
  recordQuery,
  type Seen,
  seen,
  unseen,
} from './compliance/observed';
import { newestRecords, proven } from './compliance-evidence';
import { ledgerSource } from './ledger-source';
import { verifyLedger } from './ledger-verification';
import { recallState } from './verified-state';
import { whyNot } from './why-not';

export interface GatherOptions {
  readonly nowMs: number;
  readonly trust?: Trust;
  /** The checkpoint only. */
  readonly quick: boolean;
  readonly drill: Seen<Drill>;
  readonly progress: (text: string | undefined) => void;
}

export interface Gathered {
  readonly observed: Observed;
  readonly decisions: Seen<Decisions>;
  readonly hash?: string;
}

/** Reads all that the checks of these packs ask for, beside the keys. What cannot be read is unknown, and the rest goes on. */
export async function gather(client: Client, packs: readonly RegulationPack[], options: GatherOptions): Promise<Gathered> {
  const { nowMs, drill, progress } = options;
  progress('reading policies, tokens, backups and alerts');
  const shown = await attempt(() => client.policy.show());
  const bundle: Seen<PolicyBundle> = shown.ok ? seen(shown.value.bundle) : shown;
  const [tokens, keks, backups, alerts] = await Promise.all([
    attempt(async () => {
      const { tokens: all, seenAt } = await client.keys.listTokens({});
      return seenAt === undefined ? unseen('no worker says which tokens there are') : seen(all);
    }),
    attempt(async () => seen((await client.keys.listKeks()).keks)),
    attempt(async () => seen((await client.backup.list({ limit: 200 })).backups)),
    attempt(async () => {
      const { alerts: all } = await client.alerts.list({ limit: 200, status: 'open' });
      return all.length < 200 ? seen(all) : unseen('there are 200 open alerts or more, which is as many as a list holds');
    }),
  ]);
  const flat = <T>(given: Seen<Seen<T>>): Seen<T> => (given.ok ? given.value : given);
  const ledger = await ledgerState(client, options);
  const records: Observed['records'] = new Map(
    await Promise.all(
      asked(packs).map(async ({ query, withinDays }) => {
        const from = withinDays === undefined ? {} : { from: new Date(nowMs - withinDays * dayMs).toISOString() };
        const found = await newestRecords(client, query, { ...from, limit: 100 });
        return [recordQuery(query), found.ok ? seen(found.value.records) : found] as const;
      }),
    ),
  );
  progress(undefined);
  return {
    observed: {
      nowMs,
      bundle,
      tokens: flat(tokens),
      keks: flat(keks),
      backups: flat(backups),
      alerts: flat(alerts),
      drill,
      ledger,
      records,
    },
    decisions: bundle.ok ? decisionsSeen(bundle.value, nowMs) : bundle,
    ...(shown.ok ? { hash: shown.value.hash } : {}),
  };
}

async function attempt<T>(read: () => Promise<T>): Promise<Seen<T>> {
  try {
    return seen(await read());
  } catch (error) {
    return unseen(whyNot(error));
  }
}

function decisionsSeen(bundle: PolicyBundle, nowMs: number): Seen<Decisions> {
  try {
    return seen(decisionsOf(bundle, nowMs));
  } catch (error) {
    return unseen((error as Error).message);
  }
}

type RecordQuery = Pick<EvidenceQuery, 'kind' | 'action' | 'outcome'>;

/** What checks ask of the ledger, each once, over the longest time that one of them asks for. */
function asked(packs: readonly RegulationPack[]): { query: RecordQuery; withinDays?: number }[] {
  const all = new Map<string, { query: RecordQuery; withinDays?: number }>();
  for (const check of packs.flatMap(({ controls }) => controls.flatMap(({ checks }) => checks))) {
    if (check.check !== 'recorded' && check.check !== 'state-untampered') continue;
    const { kind, action, outcome } = check.check === 'recorded' ? check : { kind: 'refused-state', action: undefined, outcome: undefined };
    const query = {
      ...(kind === undefined ? {} : { kind }),
      ...(action === undefined ? {} : { action }),
      ...(outcome === undefined ? {} : { outcome }),
    };
    const known = all.get(recordQuery(query));
    const ever = check.withinDays === undefined || (known !== undefined && known.withinDays === undefined);
    all.set(recordQuery(query), { query, ...(ever ? {} : { withinDays: Math.max(check.withinDays as number, known?.withinDays ?? 0) }) });
  }
  return [...all.values()];
}

/** As `audit verify` does it, from where that stopped last; nothing is remembered here. */
async function ledgerState(client: Client, { trust, quick, progress }: GatherOptions): Promise<Seen<LedgerState>> {
  if (!trust) return unseen('no trust.json was given, with which to verify it (CLAVIGER_TRUST_FILE)');
  try {
    const file = defaultMemoryFile(trust.ledger.origin, process.env);
    const remembered = recall(file, trust.ledger.origin);
    const kept = remembered?.state && !quick ? recallState(file, remembered.state, trust) : undefined;
    const resume = kept && 'state' in kept ? kept.state : undefined;
    const bar = (done: number, size: number) => progress(`verifying the ledger: ${done} of ${size} leaves`);
    const { size, problems, findings } = await verifyLedger(ledgerSource(client), {
      trust,
      remembered,
      quick,
      progress: bar,
      ...(resume ? { resume } : {}),
    });
    const said = problems.map(({ index, problem }) => `${index === undefined ? '' : `leaf ${index}: `}${problem}`);
    if (quick && said.length === 0) return unseen('only its checkpoint was verified (--quick)');
    return seen({ size, problems: said, findings: findings.map(({ index, finding, detail }) => `leaf ${index}: ${finding}: ${detail}`) });
  } catch (error) {
    return unseen(whyNot(error));
  }
}

/** Whether a list of keys holds all of them: it holds those that the caller may describe. */
export function keysSeenBy(caller: string, decisions: Seen<Decisions>): KeysSeen {
  if (!decisions.ok)
    return { complete: false, why: `whether you may describe all of them is not known: the policies in force: ${decisions.why}` };
  const { decide } = decisions.value;
  const all = Environment.options.every((environment) =>
    Classification.options.every(
      (classification) =>
        decide({ id: caller }, 'keys:Describe', { environment, classification, owner: 'somebody-else', mfa: false }).kind === 'allow',
    ),
  );
  return all ? { complete: true } : { complete: false, why: 'you may not describe all of them; an auditor may' };
}

/** The newest records for each kind of evidence that the packs name, with proofs under one checkpoint. */
export async function gatherEvidence(
  client: Client,
  packs: readonly RegulationPack[],
  { since, limit, progress }: { since: string; limit: number; progress: GatherOptions['progress'] },
): Promise<Pick<ComplianceReport, 'evidence' | 'checkpoint'>> {
  const queries = [
    ...new Map(
      packs.flatMap(({ controls }) => controls.flatMap(({ evidence }) => evidence.map((one) => [one.what, one] as const))),
    ).values(),
  ];
  const found: Awaited<ReturnType<typeof newestRecords>>[] = [];
  for (const query of queries) {
    progress(`evidence: ${query.what}`);
    found.push(await newestRecords(client, query, { from: since, limit }));
  }
  // Asked for last, so that it covers what was found.
  const checkpoint = await attempt(() => client.audit.checkpoint());
  const evidence: Evidence[] = [];
  for (const [n, query] of queries.entries())
    evidence.push(await proven(client, query, found[n] as (typeof found)[number], checkpoint.ok ? checkpoint.value.size : undefined));
  progress(undefined);
  return { evidence, ...(checkpoint.ok ? { checkpoint: checkpoint.value.checkpoint } : {}) };
}
