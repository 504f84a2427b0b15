import { z } from 'zod';
import { KeyUsage } from './algorithms';
import { Classification, Environment, principalPattern, printable } from './primitives';
import { KeyProfile, SaidOfKey, StrengthBits } from './profiles';

export const packFormat = 'claviger.regulation-pack/1';
export const packLimits = {
  controls: 200,
  checksPerControl: 16,
  evidencePerControl: 8,
  profiles: 10,
  policiesChars: 40_000,
  inForce: 16,
} as const;

/** `pci-dss`: ids of its policies and profiles begin with it and `-`, so that they are told from those that an installation wrote itself. */
export const PackId = z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'a pack id is 1 to 32 of a-z, 0-9 and -');
const PackVersion = z.string().regex(/^\d{1,4}\.\d{1,4}\.\d{1,4}$/, 'a version is three numbers: 1.0.0');
/** As @control of a policy names it: the standard with its edition, and the clause. */
export const ControlId = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9.-]{0,47}:[A-Za-z0-9][A-Za-z0-9.() -]{0,47}$/,
    'a control is STANDARD-EDITION:CLAUSE, such as PCI-DSS-4.0.1:3.7.6',
  );
const RoleName = z.string().regex(principalPattern);

/** The keys that a pack is about, where an installation marks them so. */
export const ScopeTag = z.strictObject({ name: printable(64), value: z.string().max(256).optional() });
export type ScopeTag = z.infer<typeof ScopeTag>;

/** A pack whose policies are in a bundle, in the version that was put there. `tag`: only keys with it are what the regulation means here. */
export const PackInForce = z.strictObject({ id: PackId, version: PackVersion, tag: ScopeTag.optional() });
export type PackInForce = z.infer<typeof PackInForce>;

export const ControlSeverity = z.enum(['low', 'medium', 'high']);
export type ControlSeverity = z.infer<typeof ControlSeverity>;
const days = z.int().min(1).max(3_650);
const action = z.string().max(64);
const Outcome = z.enum(['success', 'denied', 'failed']);

/** What can be looked at without a person. The functions are those of the command line (apps/cli/src/compliance); each says pass, fail or unknown. */
export const ControlCheck = z.discriminatedUnion('check', [
  // Of each key in the scope of the pack that is not destroyed.
  z.strictObject({ check: z.literal('key-strength'), bitsMin: StrengthBits }),
  /** `usages`: of keys for these only. `tag`: of keys with it only. */
  z.strictObject({ check: z.literal('key-cnsa2'), usages: z.array(KeyUsage).min(1).max(6).optional(), tag: ScopeTag.optional() }),
  /** No originator usage period is longer than SP 800-57 suggests for its kind of key, or than `originatorDaysMax`. */
  z.strictObject({ check: z.literal('key-cryptoperiod'), originatorDaysMax: days.optional() }),
  z.strictObject({ check: z.literal('key-rotation-scheduled'), withinDays: days.optional() }),
  z.strictObject({ check: z.literal('key-not-overdue'), graceDays: z.int().min(0).max(365).default(0) }),
  z.strictObject({ check: z.literal('key-compromise-answered') }),
  z.strictObject({ check: z.literal('key-suspension-decided'), withinDays: days }),
  z.strictObject({ check: z.literal('key-owned') }),
  z.strictObject({ check: z.literal('key-described'), says: z.array(SaidOfKey).min(1).max(3) }),
  z.strictObject({ check: z.literal('key-certified'), everyDays: days }),
  z.strictObject({ check: z.literal('key-custody') }),
  z.strictObject({ check: z.literal('key-not-exportable') }),
  z.strictObject({ check: z.literal('key-generated-here') }),
  z.strictObject({ check: z.literal('key-consumers-few'), most: z.int().min(1).max(256) }),
  /** What the profiles of the bundle in force ask for. */
  z.strictObject({ check: z.literal('key-floor') }),
  /** Nobody uses keys of production and of another environment. */
  z.strictObject({ check: z.literal('key-environments-apart') }),
  // Of tokens and key-encryption keys.
  z.strictObject({ check: z.literal('token-validated'), levelMin: z.int().min(1).max(4) }),
  z.strictObject({ check: z.literal('token-as-recorded') }),
  z.strictObject({ check: z.literal('kek-rotated'), withinDays: days }),
  // Of the policies in force, decided by them as a service would.
  /** The policies of the pack are in force, and say what the pack says. */
  z.strictObject({ check: z.literal('pack-guards') }),
  z.strictObject({ check: z.literal('second-factor') }),
  z.strictObject({ check: z.literal('administrators-never-use') }),
  z.strictObject({
    check: z.literal('approvals'),
    actions: z.array(action).min(1).max(16),
    quorum: z.int().min(1).max(10),
    classifications: z.array(Classification).min(1).max(4),
  }),
  z.strictObject({ check: z.literal('quorum-attainable') }),
  z.strictObject({
    check: z.literal('roles-separated'),
    pairs: z
      .array(z.tuple([RoleName, RoleName]))
      .min(1)
      .max(32),
  }),
  z.strictObject({
    check: z.literal('role-holders'),
    role: RoleName,
    least: z.int().min(0).max(100).default(0),
    most: z.int().min(1).max(10_000).optional(),
  }),
  z.strictObject({ check: z.literal('nobody-may'), actions: z.array(action).min(1).max(16) }),
  z.strictObject({ check: z.literal('grants-end') }),
  z.strictObject({ check: z.literal('principals-identified') }),
  // Of backups, the ledger and alerts.
  z.strictObject({ check: z.literal('backup-recent'), withinDays: days }),
  z.strictObject({ check: z.literal('backup-verified'), withinDays: days }),
  z.strictObject({ check: z.literal('drill-passed'), withinDays: days }),
  z.strictObject({ check: z.literal('ledger-verified') }),
  z.strictObject({ check: z.literal('state-untampered'), withinDays: days }),
  z.strictObject({
    check: z.literal('alerts-answered'),
    severity: z.enum(['low', 'medium', 'high', 'critical']),
    withinHours: z.int().min(1).max(8_760),
  }),
  /** At least one such record in the ledger; `withinDays` left out: ever. `outcome` left out: also of what was refused. */
  z.strictObject({
    check: z.literal('recorded'),
    what: printable(128),
    kind: z.string().max(32).optional(),
    action: action.optional(),
    outcome: Outcome.optional(),
    withinDays: days.optional(),
  }),
]);
export type ControlCheck = z.infer<typeof ControlCheck>;
export type CheckName = ControlCheck['check'];

/** Records that show the control at work: the newest of them, of the period of the report, are in it with their proofs. */
export const EvidenceQuery = z.strictObject({
  what: printable(128),
  kind: z.string().max(32).optional(),
  action: action.optional(),
  outcome: Outcome.optional(),
});
export type EvidenceQuery = z.infer<typeof EvidenceQuery>;

export const Control = z
  .strictObject({
    id: ControlId,
    title: printable(128),
    /** In our words; the standard's own text is its publisher's. */
    requirement: printable(1_000),
    severity: ControlSeverity,
    /** Who answers for what no key's owner answers for. */
    ownerRole: RoleName,
    /** Policies that name one of these by @control serve it as well. */
    alsoServedBy: z.array(ControlId).max(16).default([]),
    checks: z.array(ControlCheck).max(packLimits.checksPerControl).default([]),
    evidence: z.array(EvidenceQuery).max(packLimits.evidencePerControl).default([]),
    /** What no program can see: a person supplies it. */
    manual: printable(1_000).optional(),
  })
  .refine(
    ({ checks, manual }) => checks.length > 0 || manual !== undefined,
    'nothing is looked at and nobody supplies anything: it would be met by nothing',
  );
export type Control = z.infer<typeof Control>;

/** When an algorithm is to be left behind, by what it is used for: the value of the key's tag `tag`. `preferFrom` where the standard says one. */
const Transition = z.strictObject({
  tag: printable(64),
  uses: z
    .array(z.strictObject({ use: printable(64), title: printable(128), preferFrom: z.iso.date().optional(), lastDay: z.iso.date() }))
    .min(1)
    .max(20),
});

/** Where the controls come from. `checked`: when they were held against it last, and against which text, so that nobody takes a quotation for the original. */
export const PackSource = z.strictObject({
  title: printable(256),
  edition: printable(128),
  url: z.url().max(512),
  checked: z.strictObject({ at: z.iso.date(), against: printable(512) }).optional(),
});
export type PackSource = z.infer<typeof PackSource>;

/** What a regulation asks of key management, as far as a program can tell: `pack.json`. Its policies are in `policies.cedar` beside it. */
export const RegulationPack = z.strictObject({
  format: z.literal(packFormat),
  id: PackId,
  title: printable(128),
  version: PackVersion,
  summary: printable(1_000),
  /** What is not in it, said as plainly. */
  leftOut: printable(2_000),
  sources: z.array(PackSource).min(1).max(8),
  /** The keys that it is about; all where left out. */
  scope: z.strictObject({
    environments: z.array(Environment).min(1).max(3).optional(),
    classifications: z.array(Classification).min(1).max(4).optional(),
  }),
  /** Days from when a gap was first seen until it should be closed. */
  dueDays: z.strictObject({ high: days, medium: days, low: days }),
  profiles: z.array(KeyProfile).max(packLimits.profiles).default([]),
  transition: Transition.optional(),
  controls: z.array(Control).min(1).max(packLimits.controls),
});
export type RegulationPack = z.infer<typeof RegulationPack>;
