import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type BundleIssue, issueText, separationOf } from '@claviger/authz';
import {
  type BundleView,
  type CloudEvent,
  cloudEvent,
  eventSubject,
  PackedError,
  type PolicyBundle,
  ProblemError,
  type policyOperations,
  type Request,
} from '@claviger/contracts';
import {
  type AuditTrail,
  type KvOwner,
  type KvView,
  type OutboxItem,
  OutboxRelay,
  type RecordIntent,
  type RecordSigner,
} from '@claviger/messaging';
import { type OwedRecord, type OwedRecords, TamperedDocuments } from '@claviger/service';
import { jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';
import { bundleId, type OutboxEntry, sealBundle, TamperedBundle } from './bundle-document';
import type { BundleStore } from './bundle-store';
import { ownerIssues, unownedEvent } from './service-owners';

const retryAfterMs = 2_000;
const sweepEveryMs = 2_000;
const inspectEveryMs = 15_000;
const issuesShown = 10;
const amendAttempts = 8;

export interface BundleKeeperParts {
  connection: NatsConnection;
  store: BundleStore;
  owed: OwedRecords;
  trail: AuditTrail;
  owner: KvOwner<BundleView>;
  view: KvView<BundleView>;
  signer: RecordSigner;
  /** Everything that is wrong with a bundle; found beside the requests of this process. */
  validate: (bundle: PolicyBundle) => Promise<BundleIssue[]>;
  /** Resolves when this process decides by this revision, or has tried for a while. */
  reached: (revision: number) => Promise<void>;
  /** The first bundle of a new system; undefined when none is configured. Throws when it is not valid. */
  seed: () => PolicyBundle | undefined;
  /** Hears that somebody else than this service wrote the stored bundle. */
  onTampered: (id: string, reason: string) => void;
  logger: LoggerService;
}

export interface Published {
  bundle: PolicyBundle;
  hash: string;
  intent: RecordIntent;
  /** The operation's own record is in the ledger. */
  recorded: () => void;
  /** The same for each further record, in their order. */
  furtherRecorded: (() => void)[];
}

/** What is stored in one write with a publication, beside who publishes it. */
export interface Further {
  /** Records of what it does to single people. */
  further?: readonly RecordIntent[];
  events?: readonly CloudEvent[];
}

/** Keeps the bundle in the store and its signed view in KV together. The store leads; the view never goes back. */
export class BundleKeeper {
  private readonly relay: OutboxRelay<OutboxEntry>;
  private readonly tampered: TamperedDocuments;
  private marking = false;
  private stopped = false;
  /** What was stored last by this process, until it is delivered: it need not be read and verified again for that. */
  private undelivered: { entryId: string; view: BundleView } | undefined;
  private inspecting: NodeJS.Timeout | undefined;
  private problem: string | undefined = 'not read yet';

  constructor(private readonly parts: BundleKeeperParts) {
    this.relay = new OutboxRelay(parts.store, (item) => this.deliver(item), parts.logger);
    this.tampered = new TamperedDocuments(parts.onTampered);
  }

  /** Returns at once: the store may be away, and callers are admitted by the view meanwhile. */
  async start(): Promise<void> {
    await this.parts.owner.start();
    void this.establish();
  }

  /** What is wrong between the store and what is in force, for health; undefined when nothing is. */
  get trouble(): string | undefined {
    return this.problem;
  }

  /**
   * Validates, stores by compare-and-set, puts in force. Throws ERR_CONFLICT, ERR_POLICY_INVALID, ERR_SEPARATION_OF_DUTIES, ERR_STORE_UNAVAILABLE. Once stored it will be in
   * force, also when this process ends before it was delivered.
   */
  async publish(
    { basedOn, bundle: proposed }: Pick<Request<typeof policyOperations.publish>, 'basedOn' | 'bundle'>,
    now: Date,
    /** The record of who publishes it, as it will be. */
    intend: (bundle: PolicyBundle) => RecordIntent,
    /** Throws when it needs more than policy said: it is told what is in force, and what is to be. */
    assertMay: (from: PolicyBundle, to: PolicyBundle) => void,
    more: (bundle: PolicyBundle) => Further = () => ({}),
    /** What becomes of what is proposed, beside what is in force. */
    adopt: (inForce: PolicyBundle, proposed: PolicyBundle) => PolicyBundle = (_, bundle) => bundle,
  ): Promise<Published> {
    const stored = await this.verified();
    if (stored?.bundle.revision !== basedOn)
      throw new ProblemError('ERR_CONFLICT', `revision ${stored?.bundle.revision ?? 0} is in force, not ${basedOn}`);
    const bundle = adopt(stored.bundle, { ...proposed, revision: basedOn + 1, publishedAt: now.toISOString() });
    const issues = [...(await this.parts.validate(bundle)), ...ownerIssues(stored?.bundle, bundle)];
    if (issues.length > 0)
      throw new ProblemError(
        issues.every(({ where }) => where === separationOf) ? 'ERR_SEPARATION_OF_DUTIES' : 'ERR_POLICY_INVALID',
        issues.slice(0, issuesShown).map(issueText).join('; ').slice(0, 4_000),
      );
    assertMay(stored.bundle, bundle);
    const sealed = sealWithin(bundle, this.parts.signer);
    const intent = intend(bundle);
    const { further = [], events = [] } = more(bundle);
    const owed = [intent, ...further].map((each) => this.parts.owed.owe(bundleId, each));
    const outbox = [
      ...outboxOf(sealed.view, intent),
      ...unownedEvent(stored?.bundle, bundle, intent.at),
      ...events.map((event) => ({ id: event.id, kind: 'event' as const, event })),
    ];
    if (!(await this.parts.store.replace(basedOn, sealed.stored, outbox, owed)))
      throw new ProblemError('ERR_CONFLICT', 'another bundle was published at the same time');
    this.undelivered = { entryId: outbox[0]!.id, view: sealed.view };
    await this.deliverSoon(outbox);
    // Whoever published it and asks at once is answered by it.
    await this.parts.reached(bundle.revision);
    const [own, ...others] = owed;
    const settle = (each: OwedRecord) => this.parts.owed.settle(bundleId, each);
    return {
      bundle,
      hash: sealed.view.hash,
      intent,
      recorded: () => settle(own!),
      furtherRecorded: others.map((each) => () => settle(each)),
    };
  }

  /**
   * Publishes what `change` makes of the bundle in the store, and again when somebody else was first. Undefined when there is nothing to change. Throws as
   * `publish`, and what `change` throws.
   */
  async amend(
    change: (bundle: PolicyBundle) => PolicyBundle | undefined,
    intend: (bundle: PolicyBundle) => RecordIntent,
    assertMay: (from: PolicyBundle, to: PolicyBundle) => void,
    more: (bundle: PolicyBundle) => Further = () => ({}),
  ): Promise<Published | undefined> {
    for (let attempt = 1; ; attempt++) {
      const stored = await this.verified();
      if (!stored) throw new ProblemError('ERR_STATE_STALE');
      const changed = change(stored.bundle);
      if (!changed) return undefined;
      const { revision: basedOn, publishedAt: _, ...bundle } = changed;
      try {
        return await this.publish({ basedOn, bundle }, new Date(), intend, assertMay, more);
      } catch (error) {
        if (!(error instanceof ProblemError && error.code === 'ERR_CONFLICT') || attempt === amendAttempts) throw error;
      }
    }
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.inspecting);
    await this.relay.stop();
    await this.parts.owed.stop();
    this.parts.owner.stop();
  }

  /** Until it succeeds: the view is rebuilt from the store, the first bundle is published where there is none, marks are signed. */
  private async establish(): Promise<void> {
    const { view, owner, logger } = this.parts;
    while (view.state() === 'loading' && !this.stopped) await delay(20);
    // A view that adds up is as the last owner left it, so its mark may be kept young while the store is away.
    if (view.state() === 'fresh') this.keepMark();
    while (!this.stopped) {
      try {
        await owner.put((await this.storedOrSeeded()).view);
        this.keepMark();
        this.problem = undefined;
        this.relay.start(sweepEveryMs);
        this.parts.owed.start();
        this.inspecting = setInterval(() => void this.inspect(), inspectEveryMs);
        return;
      } catch (error) {
        this.report(error);
        logger.error(`policy bundle: ${this.problem}`);
        await delay(retryAfterMs, undefined, { ref: false });
      }
    }
  }

  private async storedOrSeeded(): Promise<{ view: BundleView }> {
    const { store, signer, logger } = this.parts;
    const stored = await this.verified();
    if (stored) return stored;
    const bundle = this.parts.seed();
    if (!bundle) throw new Error('the store holds no bundle and POLICY_SEED_DIR is not set');
    const sealed = sealBundle(bundle, signer);
    const entry = { action: 'policy:Publish', principal: 'policy', session: 'seed', reason: 'first bundle, from POLICY_SEED_DIR' };
    const intent = this.parts.trail.intend({ ...entry, revisions: {}, revision: bundle.revision });
    const owed = this.parts.owed.owe(bundleId, intent);
    const created = await store.create(sealed.stored, outboxOf(sealed.view, intent), owed);
    if (created) void this.recordSeed(intent, owed);
    if (created) logger.log('published the first policy bundle from POLICY_SEED_DIR');
    return created ? sealed : this.storedOrSeeded();
  }

  /** Nobody waits for it: what cannot be recorded now stays owed. */
  private async recordSeed({ id, entry: { revision, ...entry } }: RecordIntent, owed: OwedRecord): Promise<void> {
    try {
      await this.parts.trail.operation({ ...entry, outcome: 'success', revisions: { bundle: revision } }, id);
      this.parts.owed.settle(bundleId, owed);
    } catch (error) {
      this.parts.logger.warn(`policy bundle: that it was published will be recorded later: ${String(error)}`);
    }
  }

  /** What the store holds, when it was signed by us and is not older than what is in force. A store that lost it is not an empty one. */
  private async verified(): Promise<{ bundle: PolicyBundle; view: BundleView } | undefined> {
    // Asked first: what is put in force while the store is read is no proof against what was read.
    const inForce = this.parts.view.get(bundleId)?.revision ?? 0;
    try {
      const stored = await this.parts.store.load();
      const revision = stored?.bundle.revision ?? 0;
      if (revision < inForce) throw new TamperedBundle(`it has revision ${revision}, while ${inForce} is in force`);
      this.tampered.well(bundleId);
      return stored;
    } catch (error) {
      if (!(error instanceof TamperedBundle)) throw error;
      this.tampered.found(bundleId, error.message);
      throw new ProblemError('ERR_STORE_UNAVAILABLE', 'The stored bundle failed verification.', { cause: error });
    }
  }

  /** A bundle that was edited in the store is found also when nobody publishes. */
  private async inspect(): Promise<void> {
    try {
      await this.verified();
      this.problem = undefined;
    } catch (error) {
      const before = this.problem;
      this.report(error);
      if (this.problem !== before) this.parts.logger.error(`policy bundle: ${this.problem}`);
    }
  }

  private report(error: unknown): void {
    const cause = error instanceof ProblemError ? (error.cause ?? error) : error;
    this.problem = cause instanceof Error ? cause.message : String(cause);
  }

  private keepMark(): void {
    if (!this.marking) this.parts.owner.keepMark(this.parts.view);
    this.marking = true;
    void this.parts.owner.sign(this.parts.view);
  }

  private async deliverSoon(outbox: OutboxEntry[]): Promise<void> {
    try {
      await this.relay.deliverNow(outbox.map((entry) => ({ aggregateId: bundleId, entryId: entry.id, entry })));
    } catch (error) {
      this.parts.logger.warn(`policy bundle: stored, its delivery will be tried again: ${String(error)}`);
    }
  }

  private async deliver({ entry }: OutboxItem<OutboxEntry>): Promise<void> {
    if (entry.kind === 'view') {
      const own = this.undelivered?.entryId === entry.id ? this.undelivered.view : undefined;
      this.undelivered = undefined;
      const view = own ?? (await this.verified())?.view;
      if (view) await this.parts.owner.put(view);
      return;
    }
    await jetstream(this.parts.connection).publish(eventSubject(entry.event.type), JSON.stringify(entry.event), { msgID: entry.event.id });
  }
}

function sealWithin(bundle: PolicyBundle, signer: RecordSigner): ReturnType<typeof sealBundle> {
  try {
    return sealBundle(bundle, signer);
  } catch (cause) {
    if (!(cause instanceof PackedError)) throw cause;
    throw new ProblemError('ERR_POLICY_INVALID', `it is too large: ${cause.message}`, { cause });
  }
}

/** The view first: whoever hears the event finds the bundle in force. */
function outboxOf(view: BundleView, { at, entry }: RecordIntent): OutboxEntry[] {
  const id = randomUUID();
  const data = { revision: view.revision, hash: view.hash, by: entry.principal, reason: entry.reason ?? '' };
  const event = cloudEvent('io.claviger.policy.published', {
    id,
    source: 'claviger/policy',
    time: at,
    subject: String(view.revision),
    data,
  });
  return [
    { id: `${id}.view`, kind: 'view' },
    { id, kind: 'event', event },
  ];
}
