import { z } from 'zod';
import { Algorithm, KeyUsage } from './algorithms';
import { aliasOperations } from './alias-operations';
import { Cryptoperiod } from './cryptoperiods';
import { deletionOperations } from './deletion-operations';
import { KekDescription, KeyDescription, KeyFilter, KeyNotes, keyFields, Propagation } from './key-description';
import { keyGovernanceOperations } from './key-governance-operations';
import { Origin } from './key-transport';
import { limits } from './limits';
import { migrationOperations } from './migration-operations';
import { defineOperation } from './operation';
import { Classification, Environment, KeyRef, ListCursor, PrincipalId, Timestamp } from './primitives';
import { Residency } from './residency';
import { rewrapOperations } from './rewrap-operations';
import { AtEnd, RotationSchedule } from './rotation';
import { tokenOperations } from './token-operations';

const { name, tags, note, consumers, target } = keyFields;

export const keyOperations = {
  ...keyGovernanceOperations,
  ...deletionOperations,
  ...aliasOperations,
  ...rewrapOperations,
  ...migrationOperations,
  ...tokenOperations,
  create: defineOperation({
    name: 'keys.create',
    action: 'keys:Create',
    summary: 'Generate a key in the HSM; it leaves it only wrapped under the KEK of its environment and classification.',
    retry: 'never',
    input: {
      name,
      algorithm: Algorithm,
      /** One that the algorithm can be used for; its usual one when left out. */
      usage: KeyUsage.optional(),
      environment: Environment.default('development'),
      classification: Classification.default('internal'),
      owner: PrincipalId.optional(),
      /** `external`: nothing is generated; it waits in pre-activation for material that is imported. */
      origin: Origin.default('generated'),
      /** It may leave, wrapped for a recipient. Cannot be changed afterwards. */
      exportable: z.boolean().default(false),
      ...KeyNotes.shape,
      consumers: consumers.default([]),
      tags: tags.default({}),
      /** The regions that it may be used, stored and backed up in; anywhere when left out. */
      residency: Residency.optional(),
      /** Pre-activation until then: it neither protects nor processes. At most two years ahead. */
      activateAt: Timestamp.optional(),
      /** That of its usage when left out. */
      cryptoperiod: Cryptoperiod.optional(),
      schedule: RotationSchedule.optional(),
      /** `rotate` where it has a schedule, else `warn`, when left out. */
      atEnd: AtEnd.optional(),
    },
    result: KeyDescription,
  }),
  describe: defineOperation({
    name: 'keys.describe',
    action: 'keys:Describe',
    summary: 'Metadata and state of one key.',
    retry: 'safe',
    input: { keyId: KeyRef },
    result: KeyDescription,
  }),
  list: defineOperation({
    name: 'keys.list',
    action: 'keys:List',
    summary:
      'Keys that the caller may describe and that the filter means, by id; pass `next` to go on. A page may be short, or empty, before the last.',
    retry: 'safe',
    input: {
      filter: KeyFilter.default({}),
      limit: z.int().min(1).max(limits.listPage).default(100),
      /** The `next` of the page before, of the same filter and caller. */
      after: ListCursor.optional(),
    },
    result: z.strictObject({ keys: z.array(KeyDescription), next: ListCursor.optional() }),
  }),
  listKeks: defineOperation({
    name: 'keys.list-keks',
    action: 'keys:ListKeks',
    summary: 'All key-encryption keys: what the keys of each environment and classification are wrapped under.',
    retry: 'safe',
    input: {},
    result: z.strictObject({ keks: z.array(KekDescription) }),
  }),
  rotate: defineOperation({
    name: 'keys.rotate',
    action: 'keys:Rotate',
    summary: 'New version becomes primary; older versions go on to decrypt and verify.',
    retry: 'never',
    input: target,
    result: Propagation,
  }),
  activate: defineOperation({
    name: 'keys.activate',
    action: 'keys:Activate',
    summary: 'End the pre-activation of a key before its time.',
    retry: 'safe',
    input: target,
    result: Propagation,
  }),
  deactivate: defineOperation({
    name: 'keys.deactivate',
    action: 'keys:Deactivate',
    summary: 'End the time in which the key protects: it goes on to decrypt and verify, and a rotation gives it a new version.',
    retry: 'safe',
    input: target,
    result: Propagation,
  }),
  markCompromised: defineOperation({
    name: 'keys.mark-compromised',
    action: 'keys:MarkCompromised',
    summary:
      'The material may be known to others: the named versions, or all of them, neither protect nor process from now on, for good; what was encrypted with them can only be re-encrypted.',
    retry: 'safe',
    input: {
      ...target,
      versions: z.array(z.int().min(1)).min(1).max(limits.versionsPerKey).optional(),
      /** Give the key a new version where its primary one is among them; as its schedule says (`onCompromise`) when left out. */
      rotate: z.boolean().optional(),
    },
    result: Propagation,
  }),
  suspend: defineOperation({
    name: 'keys.suspend',
    action: 'keys:Suspend',
    summary: 'Freeze a key at every worker; by default decrypt and verify are refused too.',
    retry: 'safe',
    input: { ...target, allowProcessing: z.boolean().default(false) },
    result: Propagation,
  }),
  resume: defineOperation({
    name: 'keys.resume',
    action: 'keys:Resume',
    summary: 'End a suspension.',
    retry: 'safe',
    input: target,
    result: Propagation,
  }),
  scheduleDeletion: defineOperation({
    name: 'keys.schedule-deletion',
    action: 'keys:ScheduleDeletion',
    summary: 'Freeze the key at once and destroy its material after the waiting period.',
    retry: 'safe',
    input: { ...target, waitDays: z.int().min(limits.deletionWaitDaysMin).max(limits.deletionWaitDaysMax).default(30) },
    result: Propagation,
  }),
  cancelDeletion: defineOperation({
    name: 'keys.cancel-deletion',
    action: 'keys:CancelDeletion',
    summary: 'Keep the key; it comes back suspended.',
    retry: 'safe',
    input: target,
    result: Propagation,
  }),
  setConsumers: defineOperation({
    name: 'keys.set-consumers',
    action: 'keys:SetConsumers',
    summary: 'Replace the list of principals that may use the key.',
    retry: 'safe',
    input: { ...target, consumers },
    result: Propagation,
  }),
  setOwner: defineOperation({
    name: 'keys.set-owner',
    action: 'keys:SetOwner',
    summary: 'Hand the key over to another principal, who decides about its use from then on.',
    retry: 'safe',
    input: { ...target, owner: PrincipalId },
    result: Propagation,
  }),
  setRotation: defineOperation({
    name: 'keys.set-rotation',
    action: 'keys:SetRotation',
    summary:
      'Set how long a version of the key is used, when it is rotated by itself, and what happens at the end of its time. What is left out stays; null gives back the default.',
    retry: 'safe',
    input: {
      ...target,
      cryptoperiod: Cryptoperiod.nullable().optional(),
      schedule: RotationSchedule.nullable().optional(),
      atEnd: AtEnd.nullable().optional(),
    },
    result: Propagation,
  }),
  update: defineOperation({
    name: 'keys.update',
    action: 'keys:Update',
    summary: 'Change what people say about the key. What is left out stays; null takes it away; tags are replaced as a whole.',
    retry: 'safe',
    input: {
      ...target,
      description: note.description.nullable().optional(),
      team: note.team.nullable().optional(),
      contact: note.contact.nullable().optional(),
      tags: tags.optional(),
    },
    result: Propagation,
  }),
} as const;
