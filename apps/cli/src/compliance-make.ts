import { parsePolicies } from '@claviger/authz';
import type { Client } from '@claviger/client';
import { type ComplianceReport, type ControlStatements, reportFormat } from '@claviger/contracts';
import { z } from 'zod';
import { closedSince, gapsOf } from './compliance/gaps';
import { type Drill, dayMs, type KeysSeen, type Observed, type Seen, seen, unseen } from './compliance/observed';
import { type PackUnderWay, packUnderWay } from './compliance/pack-report';
import { packsInForce } from './compliance/packs-in-force';
import { verifyReport } from './compliance/verify-report';
import { gather, gatherEvidence, keysSeenBy } from './compliance-gather';
import { keysMeant } from './key-pages';
import type { Output } from './output';
import { type PackFiles, packOf, readPacks } from './pack-files';
import { bearerOf, readTokenFile, required, type Settings } from './settings';
import { readJson, readTrust } from './site-files';
import { whyNot } from './why-not';

export interface ReportOptions {
  pack?: string[];
  packs: string;
  format?: string;
  out?: string;
  since?: string;
  statements?: string;
  drill?: string;
  days: string;
  evidence: string;
  quick?: boolean;
  /** Commander: true unless --no-seal. */
  seal: boolean;
  json?: boolean;
}

export interface Given {
  readonly options: Pick<ReportOptions, 'pack' | 'packs' | 'quick' | 'drill'>;
  readonly settings: Settings;
  readonly output: Output;
  /** Records of each kind of evidence, and of how many days. */
  readonly limit: number;
  readonly days: number;
  readonly statements: ControlStatements;
  /** The report before, if there is one. */
  readonly before: ComplianceReport | undefined;
}

/** Reads everything, looks at every key once, and puts the report together. What cannot be read is unknown in it. @throws CommandError, ClavigerError where nothing can be asked */
export async function makeReport(
  client: Client,
  { options, settings, output, limit, days, statements, before }: Given,
): Promise<ComplianceReport> {
  const nowMs = Date.now();
  const progress = (text: string | undefined) => output.progress(text);
  const all = readPacks(options.packs);
  const trust = settings.trustFile === undefined ? undefined : readTrust(settings.trustFile);
  const wanted = options.pack?.map((id) => packOf(all, id));
  const { observed, decisions, hash } = await gather(
    client,
    (wanted ?? all).map(({ pack }) => pack),
    { nowMs, quick: options.quick === true, drill: drillOf(options.drill), progress, ...(trust ? { trust } : {}) },
  );
  const { meant, unread } = wanted ? { meant: wanted, unread: [] } : inForce(all, observed, output);
  const packs = meant.map(({ pack }) => pack);
  const since = new Date(nowMs - days * dayMs).toISOString();
  const evidence = await gatherEvidence(client, packs, { since, limit, progress });
  // What the proofs come to is part of what is said of the ledger.
  const proofs = trust ? verifyReport(evidence, trust).problems : [];
  const ledger = observed.ledger.ok
    ? seen({ ...observed.ledger.value, problems: [...observed.ledger.value.problems, ...proofs] })
    : proofs.length > 0
      ? seen({ size: 0, problems: proofs, findings: [] })
      : observed.ledger;
  const underWay = meant.map(({ pack, policies }) => {
    const parsed = parsePolicies(policies);
    return packUnderWay({ pack, guards: parsed.ok ? parsed.policies : [], observed: { ...observed, ledger }, decisions, statements });
  });
  const caller = callerOf(settings);
  const notListed = await showKeys(client, underWay, progress);
  const keys: KeysSeen = notListed === undefined ? keysSeenBy(caller, decisions) : { complete: false, why: notListed };
  const reports = underWay.map((one) => one.report(keys));
  const gaps = reports
    .flatMap(({ controls }, n) => gapsOf(packs[n] as (typeof packs)[number], controls, before, nowMs))
    .sort((a, b) => (a.due === b.due ? 0 : a.due < b.due ? -1 : 1));
  const { bundle } = observed;
  return {
    format: reportFormat,
    ...(trust ? { site: trust.ledger.origin } : {}),
    ...{ madeAt: new Date(nowMs).toISOString(), madeBy: caller, since },
    ...(bundle.ok && hash !== undefined
      ? { bundle: { revision: bundle.value.revision, hash, publishedAt: bundle.value.publishedAt } }
      : {}),
    ...evidence,
    unread: [...unread, ...unreadOf({ ...observed, ledger }, keys)],
    packs: reports,
    gaps,
    closed: closedSince(before, gaps, reports),
  };
}

/** Shows every key that the caller may describe to all packs. Why it ended before, where it did. */
async function showKeys(
  client: Client,
  underWay: readonly PackUnderWay[],
  progress: (text: string | undefined) => void,
): Promise<string | undefined> {
  let looked = 0;
  try {
    for await (const key of keysMeant(client)) {
      for (const one of underWay) one.add(key);
      looked += 1;
      if (looked % 100 === 0) progress(`${looked} keys looked at`);
    }
    return undefined;
  } catch (error) {
    return whyNot(error);
  } finally {
    progress(undefined);
  }
}

/** Those that the bundle names; where it names none, or cannot be read, all. */
function inForce(all: readonly PackFiles[], { bundle }: Observed, output: Output) {
  const ids = bundle.ok ? (bundle.value.packs ?? []).map(({ id }) => id) : [];
  const found = packsInForce(all, ids);
  for (const { what, why } of found.unread) output.note(`${what}: ${why}`);
  if (ids.length === 0) output.note('no pack is in force (claviger policy packs add): the report is of all that there are');
  return found;
}

const DrillFile = z.object({ ok: z.boolean(), startedAt: z.iso.datetime(), keys: z.int(), rtoSeconds: z.number(), rpoSeconds: z.number() });

function drillOf(file: string | undefined): Seen<Drill> {
  if (file === undefined) return unseen('none was given (--drill drill-dr.json); claviger drill dr makes one');
  return seen(readJson(file, DrillFile, 'the report of a drill'));
}

/** Who asks, as the session is opened. */
function callerOf(settings: Settings): string {
  const { principal, tokenFile } = settings;
  return (
    principal ?? (tokenFile === undefined ? undefined : bearerOf(readTokenFile(tokenFile)).principal) ?? required(settings, 'principal')
  );
}

function unreadOf({ bundle, tokens, keks, backups, drill, ledger, alerts }: Observed, keys: KeysSeen): ComplianceReport['unread'] {
  const parts = {
    'the policies in force': bundle,
    'the tokens': tokens,
    'the key-encryption keys': keks,
    'the backups': backups,
    'the report of a drill': drill,
    'the ledger': ledger,
    'the alerts': alerts,
  };
  return [
    ...Object.entries(parts).flatMap(([what, part]) => (part.ok ? [] : [{ what, why: part.why }])),
    ...(keys.complete ? [] : [{ what: 'all keys', why: keys.why }]),
  ];
}
