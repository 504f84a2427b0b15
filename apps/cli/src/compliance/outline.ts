import type { ComplianceReport, ControlReport, Evidence, Gap, PackReport } from '@claviger/contracts';
import { reportDigest } from './report-digest';
import { sourceText } from './source-text';

/** A report as headings, paragraphs, lists and tables of plain text, which Markdown and HTML are made from, each with its own escaping. */
export type Block =
  | { readonly is: 'heading'; readonly level: 1 | 2 | 3; readonly text: string }
  | { readonly is: 'text'; readonly text: string }
  | { readonly is: 'list'; readonly items: readonly string[] }
  | { readonly is: 'table'; readonly columns: readonly string[]; readonly rows: readonly (readonly string[])[] };

const heading = (level: 1 | 2 | 3, text: string): Block => ({ is: 'heading', level, text });
const words = (text: string): Block => ({ is: 'text', text });
const list = (items: readonly string[]): Block[] => (items.length > 0 ? [{ is: 'list', items }] : []);
const table = (columns: readonly string[], rows: readonly (readonly string[])[]): Block[] =>
  rows.length > 0 ? [{ is: 'table', columns, rows }] : [];
const statusText = {
  met: 'met, as far as it was looked at',
  gap: 'GAP',
  unknown: 'UNKNOWN',
  manual: 'a person supplies the rest',
} as const;
const outcomeText = { pass: 'pass', fail: 'FAIL', unknown: 'UNKNOWN' } as const;
/** Gaps of one control and check that are shown; all of them are in the JSON. */
const gapsShown = 200;

export function outlineOf(report: ComplianceReport): Block[] {
  const { site, madeAt, madeBy, since, bundle, unread, packs, gaps, closed, evidence, checkpoint } = report;
  const [, size] = checkpoint?.split('\n') ?? [];
  return [
    heading(1, `Compliance report${site ? ` of ${site}` : ''}`),
    words(
      `Made ${madeAt} by ${madeBy}. ${bundle ? `Policies in force: revision ${bundle.revision} of ${bundle.publishedAt}, hash ${bundle.hash}.` : 'The policies in force could not be read.'} Evidence since ${since}${size === undefined ? '' : `, under the checkpoint of ${size} leaves of the ledger`}.`,
    ),
    ...(report.seal
      ? [
          words(
            `Sealed: leaf ${report.seal.index} of the ledger is the record of the SHA-256 ${reportDigest(report)} of the report as JSON, which verifies with the public key of the ledger alone: claviger compliance verify REPORT.json.`,
          ),
        ]
      : [words('Not sealed: the ledger has no record of it.')]),
    words(
      'It says what a program can see. Whether a regulation is met is for those to decide who assess it. Unknown is what could not be read: never that it is absent.',
    ),
    ...table(
      ['pack', 'version', 'in force', 'keys meant', 'met', 'gap', 'unknown', 'by a person'],
      packs.map(({ id, version, inForce, scope, counts }) => [
        id,
        version,
        inForce ? (inForce.version === version ? 'yes' : `in version ${inForce.version}`) : 'no',
        scope,
        ...[counts.met, counts.gap, counts.unknown, counts.manual].map(String),
      ]),
    ),
    ...(unread.length > 0
      ? [
          heading(2, 'What could not be read'),
          ...table(
            ['what', 'why'],
            unread.map(({ what, why }) => [what, why]),
          ),
        ]
      : []),
    heading(2, `Gaps: ${gaps.length}, of them overdue: ${gaps.filter(({ overdue }) => overdue).length}`),
    ...(gaps.length === 0 ? [words('None.')] : gapTable(gaps)),
    ...(gaps.length > gapsShown ? [words(`${gaps.length - gapsShown} more are in the JSON.`)] : []),
    ...(closed.length > 0
      ? [
          heading(2, 'Closed since the report before'),
          ...table(
            ['gap', 'control', 'what', 'first seen'],
            closed.slice(0, gapsShown).map(({ id, control, what, firstSeen }) => [id, control, what, firstSeen.slice(0, 10)]),
          ),
        ]
      : []),
    ...packs.flatMap(packBlocks),
    heading(2, 'Evidence'),
    words(
      'Records of the ledger. Each leaf hashes to its leaf hash (RFC 6962), and its inclusion proof, which is in the JSON, leads to the root of the signed checkpoint: claviger compliance verify REPORT.json.',
    ),
    ...evidence.flatMap(evidenceBlocks),
    ...(checkpoint === undefined
      ? []
      : [
          heading(3, 'Checkpoint'),
          ...list(
            checkpoint
              .trimEnd()
              .split('\n')
              .filter((line) => line !== ''),
          ),
        ]),
  ];
}

const gapTable = (gaps: readonly Gap[]): Block[] =>
  table(
    ['gap', 'control', 'severity', 'what', 'of', 'owner', 'due', 'next'],
    gaps
      .slice(0, gapsShown)
      .map(({ id, control, severity, kind, object, name, what, owner, due, overdue, next = '' }) => [
        id,
        control,
        severity,
        `${kind === 'failed' ? '' : kind === 'manual' ? 'a person supplies: ' : 'unknown: '}${what}`,
        name === undefined ? object : `${name} (${object})`,
        owner,
        overdue ? `${due}, OVERDUE` : due,
        next,
      ]),
  );

function packBlocks({ title, version, leftOut, sources, controls, transition }: PackReport): Block[] {
  return [
    heading(2, `${title} (pack ${version})`),
    ...list(sources.map(sourceText)),
    words(`Not in it: ${leftOut}`),
    ...controls.flatMap(controlBlocks),
    ...(transition
      ? [
          heading(3, `Keys outside the suite: ${transition.length}`),
          ...table(
            ['key', 'name', 'algorithm', 'use', 'last day', 'days left', 'rotate to'],
            transition
              .slice(0, gapsShown)
              .map(({ keyId, name, algorithm, use, lastDay, daysLeft, rotateTo }) => [
                keyId,
                name,
                algorithm,
                use ?? 'not said: the first date is taken',
                lastDay,
                String(daysLeft),
                rotateTo.join(' or '),
              ]),
          ),
        ]
      : []),
  ];
}

function controlBlocks({
  id,
  title,
  requirement,
  severity,
  ownerRole,
  status,
  policies,
  checks,
  evidence,
  manual,
  statement,
}: ControlReport): Block[] {
  const served =
    policies === undefined
      ? 'the policies in force could not be read'
      : policies.length === 0
        ? 'none'
        : policies.map(({ id: policy, effect, by }) => `${policy} (${effect}${by === id ? '' : `, by ${by}`})`).join(', ');
  return [
    heading(3, `${id}: ${title}`),
    words(`${statusText[status]}. ${requirement}`),
    ...list([
      `severity ${severity}, answers: ${ownerRole}`,
      `policies that serve it: ${served}`,
      ...(evidence.length > 0 ? [`evidence below: ${evidence.join(', ')}`] : []),
      ...(manual === undefined ? [] : [`a person supplies: ${manual}`]),
      ...(statement ? [`supplied by ${statement.by} on ${statement.at}, valid until ${statement.validUntil}: ${statement.text}`] : []),
    ]),
    ...table(
      ['check', 'asks', 'outcome', 'looked at', 'failed'],
      checks.map(({ check, asks, outcome, lookedAt, failed, why }) => [
        check,
        asks,
        outcomeText[outcome],
        why ? `${lookedAt}; ${why}` : lookedAt,
        failed > 0 ? String(failed) : '',
      ]),
    ),
  ];
}

const evidenceBlocks = ({ what, records, more, unknown }: Evidence): Block[] => [
  heading(3, what),
  ...(unknown !== undefined ? [words(`Unknown: ${unknown}`)] : records.length === 0 ? [words('No record in the period.')] : []),
  ...table(
    ['leaf', 'time', 'what', 'leaf hash', 'proof'],
    records.map(({ index, time, tells, leafHash, proof }) => [
      String(index),
      time,
      tells,
      leafHash,
      proof ? `${proof.length} hashes` : 'newer than the checkpoint',
    ]),
  ),
  ...(more ? [words('More there are: claviger audit query.')] : []),
];
