import { z } from 'zod';
import { Timestamp } from './primitives';
import { ControlId, ControlSeverity, PackId, ScopeTag } from './regulation-packs';

export const reportFormat = 'claviger.compliance-report/1';
const count = z.int().min(0);
const text = z.string().max(4_000);

/** One thing that a check found wrong. */
const Failure = z.strictObject({
  /** What it is about: a key id, a principal, a policy, a token; `policies` and the like where it is about all of them. */
  object: z.string().max(256),
  name: z.string().max(256).optional(),
  /** Who answers for it; the role of the control where nobody is known. */
  owner: z.string().max(256).optional(),
  why: text,
  /** What to do next. */
  next: text.optional(),
});
export type Failure = z.infer<typeof Failure>;

/** What one automatic check came to. `unknown`: what it needs could not be read, or not all of it; `why` says what. */
export const CheckResult = z.strictObject({
  check: z.string().max(64),
  /** The check with its numbers, in words. */
  asks: text,
  outcome: z.enum(['pass', 'fail', 'unknown']),
  /** What it looked at, and how much: `412 keys`. */
  lookedAt: text,
  why: text.optional(),
  failed: count,
  /** The first thousand. */
  failures: z.array(Failure).max(1_000),
});
export type CheckResult = z.infer<typeof CheckResult>;

/** A leaf of the ledger. `line` hashes to `leafHash` (RFC 6962 §2.1), and `proof` leads from it to the root of the report's checkpoint. */
export const EvidenceRecord = z.strictObject({
  index: count,
  time: z.string().max(64),
  /** Who did what to what, in words. */
  tells: text,
  leafHash: z.string().max(64),
  line: z.string().max(262_144),
  /** Absent where the leaf is newer than the checkpoint. */
  proof: z.array(z.string().max(64)).max(64).optional(),
});
export type EvidenceRecord = z.infer<typeof EvidenceRecord>;

export const Evidence = z.strictObject({
  what: z.string().max(128),
  /** The newest of the period. More there may be: `more`. */
  records: z.array(EvidenceRecord).max(100),
  more: z.boolean(),
  /** Why the ledger could not be asked: then that there is no record says nothing. */
  unknown: text.optional(),
});
export type Evidence = z.infer<typeof Evidence>;

export const Gap = z.strictObject({
  /** The same in the next report, as long as the same thing is wrong with the same object. */
  id: z.string().regex(/^gap-[0-9a-f]{16}$/),
  pack: PackId,
  control: ControlId,
  severity: ControlSeverity,
  kind: z.enum(['failed', 'unknown', 'manual']),
  object: z.string().max(256),
  name: z.string().max(256).optional(),
  what: text,
  next: text.optional(),
  owner: z.string().max(256),
  firstSeen: Timestamp,
  due: z.iso.date(),
  overdue: z.boolean(),
});
export type Gap = z.infer<typeof Gap>;

/** `manual`: nothing failed, and a person supplies what no program sees. */
export const ControlStatus = z.enum(['met', 'gap', 'unknown', 'manual']);
const ControlReport = z.strictObject({
  id: ControlId,
  title: text,
  requirement: text,
  severity: ControlSeverity,
  ownerRole: z.string().max(64),
  status: ControlStatus,
  /** Policies in force that serve it, by @control. Undefined: the policies could not be read. */
  policies: z
    .array(z.strictObject({ id: z.string(), effect: z.enum(['permit', 'forbid']), summary: text.optional(), by: ControlId }))
    .optional(),
  checks: z.array(CheckResult),
  evidence: z.array(z.string().max(128)),
  manual: text.optional(),
  /** What a person supplied, of `--statements`. */
  statement: z.strictObject({ by: z.string(), at: z.iso.date(), text, validUntil: z.iso.date() }).optional(),
});
export type ControlReport = z.infer<typeof ControlReport>;

const TransitionKey = z.strictObject({
  keyId: z.string(),
  name: z.string(),
  algorithm: z.string(),
  use: z.string().optional(),
  lastDay: z.iso.date(),
  daysLeft: z.int(),
  rotateTo: z.array(z.string()),
});

const PackReport = z.strictObject({
  id: PackId,
  title: text,
  version: z.string(),
  /** Of those in force; absent where the pack is not. */
  inForce: z.strictObject({ version: z.string() }).optional(),
  tag: ScopeTag.optional(),
  scope: text,
  leftOut: text,
  sources: z.array(
    z.strictObject({
      title: text,
      edition: text,
      url: z.string(),
      /** When the pack was held against it, and against which text. */
      checked: z.strictObject({ at: text, against: text }).optional(),
    }),
  ),
  counts: z.strictObject({ met: count, gap: count, unknown: count, manual: count }),
  controls: z.array(ControlReport),
  /** CNSA 2.0: keys outside the suite, by when their use ends. */
  transition: z.array(TransitionKey).optional(),
});
export type PackReport = z.infer<typeof PackReport>;

/** The record of the report's own digest in the ledger: `line` is leaf `index` of the tree of `checkpoint`, which `proof` leads to (RFC 6962 §2.1.1). */
export const ReportSeal = z.strictObject({
  index: count,
  line: z.string().max(262_144),
  proof: z.array(z.string().max(64)).max(64),
  checkpoint: z.string().max(131_072),
});
export type ReportSeal = z.infer<typeof ReportSeal>;

/** `claviger compliance report --format json`. Schema: docs/compliance-report.schema.json. */
export const ComplianceReport = z.strictObject({
  format: z.literal(reportFormat),
  /** Name of the ledger of the site. */
  site: z.string().max(256).optional(),
  madeAt: Timestamp,
  madeBy: z.string().max(64),
  /** Evidence is of this time on. */
  since: Timestamp,
  bundle: z.strictObject({ revision: z.int(), hash: z.string(), publishedAt: Timestamp }).optional(),
  /** The signed note (C2SP tlog-checkpoint) that proofs lead to. */
  checkpoint: z.string().max(131_072).optional(),
  /** What could not be read, and why. */
  unread: z.array(z.strictObject({ what: text, why: text })),
  packs: z.array(PackReport),
  /** By its text in the controls. */
  evidence: z.array(Evidence),
  gaps: z.array(Gap),
  /** Gaps of the report before that are there no more. */
  closed: z.array(z.strictObject({ id: z.string(), control: ControlId, what: text, firstSeen: Timestamp })),
  /** That the ledger has recorded all of this. Absent where it has not. */
  seal: ReportSeal.optional(),
});
export type ComplianceReport = z.infer<typeof ComplianceReport>;

/** `--statements FILE`: what people say, for what no program sees. */
export const ControlStatements = z
  .array(
    z.strictObject({
      control: ControlId,
      by: z.string().min(1).max(128),
      at: z.iso.date(),
      text: z.string().min(1).max(2_000),
      validUntil: z.iso.date(),
    }),
  )
  .max(1_000);
export type ControlStatements = z.infer<typeof ControlStatements>;
