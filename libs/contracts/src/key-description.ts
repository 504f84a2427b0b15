import { z } from 'zod';
import { Algorithm, KeyUsage } from './algorithms';
import { Cryptoperiod } from './cryptoperiods';
import { DeletionOrder } from './destruction-certificate';
import { KeyState } from './key-states';
import { MissingMaterial, Origin } from './key-transport';
import { limits } from './limits';
import { Classification, Environment, KekId, KeyId, KeyRef, PrincipalId, printable, Timestamp, WrappingKeyState } from './primitives';
import { Residency } from './residency';
import { AtEnd, NextEvent, RotationSchedule } from './rotation';

const name = z.string().regex(/^[a-z0-9][a-z0-9/_-]{0,127}$/, 'a key name is 1 to 128 of a-z, 0-9, /, _ and -');
const reason = z.string().min(1).max(500);
const tagName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$/, 'a tag name is 1 to 64 of A-Z, a-z, 0-9, ., _, :, / and -');
const tagValue = z.string().max(256);
const tags = z.record(tagName, tagValue).refine((t) => Object.keys(t).length <= limits.tagsPerKey);
const note = {
  /** What it protects. */
  description: printable(500),
  /** Who answers for it beside its owner. */
  team: printable(128),
  /** Whom to reach when something is wrong with it: a mail address, a telephone number, the name of a rota. */
  contact: printable(256),
};
/** What people say about a key for other people; nothing here decides about its use. */
export const KeyNotes = z.strictObject(note).partial();
export type KeyNotes = z.infer<typeof KeyNotes>;
const consumers = z.array(PrincipalId).max(limits.consumersPerKey);

/** SP 800-57 Part 1 rev. 5 §7: each change of state is recorded with its date, time and reason. */
export const Transition = z.strictObject({ to: KeyState, at: Timestamp, reason: z.string() });
export type Transition = z.infer<typeof Transition>;

export const Custody = z.enum(['wrapped', 'token']);
export type Custody = z.infer<typeof Custody>;

/** Which keys are meant: those of which all that is given is so. */
export const KeyFilter = z
  .strictObject({
    /** Of the primary version. */
    state: KeyState,
    algorithm: Algorithm,
    usage: KeyUsage,
    environment: Environment,
    classification: Classification,
    owner: PrincipalId,
    team: note.team,
    consumer: PrincipalId,
    /** Of any version that has its material still. */
    custody: Custody,
    /** The key-encryption key that any version is wrapped under. */
    kek: KekId,
    tag: z.strictObject({ name: tagName, value: tagValue.optional() }),
    namePrefix: name,
    suspended: z.boolean(),
    origin: Origin,
    exportable: z.boolean(),
    /** Its deletion is scheduled and has not happened. */
    pendingDeletion: z.boolean(),
    /** When its first version was made: from then on … */
    createdFrom: Timestamp,
    /** … and earlier than that. */
    createdBefore: Timestamp,
  })
  .partial();
export type KeyFilter = z.infer<typeof KeyFilter>;

/** A key-encryption key, without its material. */
export const KekDescription = z.strictObject({
  kekId: KekId,
  environment: Environment,
  classification: Classification,
  revision: z.int().min(1),
  state: WrappingKeyState,
  /** Label of the token's root key that it is wrapped under, and the family of tokens that can unwrap it; absent once destroyed. */
  rootLabel: z.string().optional(),
  /** The token that holds the root; the workers' first one when left out. */
  token: z.string().optional(),
  family: z.string().optional(),
  /** Absent of those that were made before there were generations. */
  createdAt: Timestamp.optional(),
  retiredAt: Timestamp.optional(),
  destroyedAt: Timestamp.optional(),
});
export type KekDescription = z.infer<typeof KekDescription>;

/** Data that only this key opens. */
export const RegisteredData = z.strictObject({ name: z.string(), by: PrincipalId, at: Timestamp, until: Timestamp.optional() });
export type RegisteredData = z.infer<typeof RegisteredData>;

/** What people and services may know of a key; no material, wrapped or not. */
export const KeyDescription = z.strictObject({
  keyId: KeyId,
  name,
  algorithm: Algorithm,
  usage: KeyUsage,
  environment: Environment,
  classification: Classification,
  owner: PrincipalId,
  /** Whom policies bar from using it. Absent from a service of an earlier version. */
  createdBy: PrincipalId.optional(),
  ...KeyNotes.shape,
  consumers,
  tags,
  /** `external`: its material was made elsewhere and imported. */
  origin: Origin,
  /** It may leave, wrapped for a recipient; said when it was made, for good. */
  exportable: z.boolean(),
  revision: z.int().min(1),
  primaryVersion: z.int().min(1),
  /** A suspended or pending-deletion key is frozen: it neither protects nor processes unless `processingAllowed`. */
  suspended: z.boolean(),
  processingAllowed: z.boolean(),
  /** When a version that waits in pre-activation becomes active by itself. */
  activationAt: Timestamp.optional(),
  deletionAt: Timestamp.optional(),
  /** Who ordered that. */
  deletionOrder: DeletionOrder.optional(),
  /** No deletion can be scheduled. */
  purgeProtected: z.boolean(),
  /** What only this key opens, as whoever holds it said: until then, or for good. */
  data: z.array(RegisteredData),
  cryptoperiod: Cryptoperiod,
  schedule: RotationSchedule.optional(),
  atEnd: AtEnd,
  /** By itself a version is rotated, or protects no more, after so many days at most, jitter and window left out; absent where nothing ends its use. */
  protectsAtMostDays: z.int().min(1).optional(),
  /** The regions that it may be used, stored and backed up in; anywhere when absent. */
  residency: Residency.optional(),
  /** When its owner last confirmed what is written of it. */
  certified: z.strictObject({ at: Timestamp, by: PrincipalId }).optional(),
  /** Something happened for which it is rotated as soon as it can be: a compromise, another owner, a higher classification. */
  rotationDue: z.strictObject({ at: Timestamp, reason: z.string() }).optional(),
  /** Of the primary version, once it has been activated. */
  originatorPeriodEndsAt: Timestamp.optional(),
  /** What happens by itself next; absent where nothing does, as of a suspended key. */
  next: z.strictObject({ event: NextEvent, at: Timestamp }).optional(),
  versions: z.array(
    z.strictObject({
      version: z.int().min(1),
      state: KeyState,
      createdAt: Timestamp,
      activatedAt: Timestamp.optional(),
      /** Until then it should process; after it, re-encrypt or sign anew what it protects. It is told, and stops nothing. */
      recipientPeriodEndsAt: Timestamp.optional(),
      /** Every change of state, oldest first; of a version that changed very often the first and the newest. The ledger has all of them. */
      transitions: z.array(Transition),
      /** Of external keys: when its material was last imported, and when that is destroyed. */
      importedAt: Timestamp.optional(),
      materialExpiresAt: Timestamp.optional(),
      /** Why it has no material, so that all uses of it are refused. */
      missing: z.strictObject({ why: MissingMaterial, since: Timestamp }).optional(),
      /** `wrapped`: it leaves the token only wrapped. `token`: it never leaves. Absent once destroyed. */
      custody: Custody.optional(),
      /** The key-encryption key that it is wrapped under; only with `wrapped`. */
      kekId: KekId.optional(),
      /** Label of the token that it is in; only with `token`. */
      token: z.string().optional(),
      publicKeySpki: z.string().optional(),
    }),
  ),
});
export type KeyDescription = z.infer<typeof KeyDescription>;

/**
 * Outcome of a command that must reach every worker. `confirmed` is true only when every live worker has acknowledged the new revision
 * and every other one is fenced (it refuses by itself with ERR_STATE_STALE); false means that the change is durable but not yet proven everywhere.
 */
export const Propagation = z.strictObject({
  key: KeyDescription,
  confirmed: z.boolean(),
  workers: z.array(z.string()),
  fenced: z.array(z.string()),
});
export type Propagation = z.infer<typeof Propagation>;

/** Fields that commands on keys share. `target`: which key, by its id or an alias, and why. */
export const keyFields = { name, reason, tags, note, consumers, target: { keyId: KeyRef, reason } } as const;
