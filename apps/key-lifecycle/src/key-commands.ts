import { randomInt } from 'node:crypto';
import { algorithms, ProblemError } from '@claviger/contracts';
import type { OutboxRelay, RecordIntent } from '@claviger/messaging';
import type { OwedRecords } from '@claviger/service';
import type { NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';
import type { Context } from '@opentelemetry/api';
import type { Assurance } from './assurance';
import type { CurrentKeks } from './current-keks';
import { type Delivery, outboxOf } from './delivery';
import type { Floors } from './floors';
import { inTime } from './kek-use';
import { abandoned, createKey, type Key, type Material, type NewKey } from './key';
import { assertNotBelow, withDefaults } from './key-floor';
import type { KeyStore, OutboxEntry } from './key-store';
import { MaterialRequests } from './material-requests';
import { confirmationWaitMs, type Propagation, type Reached } from './propagation';
import type { ReservedObjects } from './reserved-objects';

const attempts = 8;
/** The record of who makes this change, as it will be. */
export type Intend = (to: Key) => RecordIntent;

export interface Changed {
  key: Key;
  /** To be called when that record is in the ledger. */
  recorded: () => void;
}

/** Changes of keys: decided by key.ts, committed by one compare-and-set together with who makes them, delivered to the workers, followed until they have it. */
export class KeyCommands {
  /** Told of a key for which something is due at once; the sweep finds it later, too. */
  onDue: () => void = () => undefined;

  private readonly materials: MaterialRequests;

  constructor(
    connection: NatsConnection,
    private readonly store: KeyStore,
    private readonly keks: Pick<CurrentKeks, 'of'>,
    private readonly delivery: Delivery,
    private readonly relay: OutboxRelay<OutboxEntry>,
    private readonly owed: OwedRecords,
    private readonly propagation: Propagation,
    private readonly floors: Pick<Floors, 'of'>,
    private readonly logger: LoggerService,
    private readonly objects: ReservedObjects,
    private readonly assurance: Pick<Assurance, 'only'>,
  ) {
    this.materials = new MaterialRequests(connection);
  }

  async create(about: Omit<NewKey, 'keyId'>, intend: Intend, trace: Context, activationAt?: string): Promise<Changed> {
    const now = new Date().toISOString();
    const floor = this.floors.of(about);
    const named = withDefaults({ ...about, keyId: newKeyId() }, floor);
    // What is refused is refused before any material is made.
    assertNotBelow(createKey(named, {}, now, activationAt), floor);
    const assertInTime = inTime();
    const made = about.origin === 'external' ? {} : await this.material(named, trace);
    const key = createKey(named, made, now, activationAt);
    const intent = intend(key);
    const owed = await this.owed.oweTogether(key.keyId, intent);
    const outbox = outboxOf(key, 'io.claviger.key.created', intent);
    const objects = abandoned(key, { ...key, versions: [] });
    assertInTime();
    this.objects.assertFresh(objects);
    try {
      await this.store.insert(key, outbox, [owed]);
    } catch (error) {
      // Any other failure does not say whether it was inserted.
      if (error instanceof ProblemError && error.code === 'ERR_CONFLICT') this.objects.discard(key.keyId, objects);
      throw error;
    }
    this.objects.named(objects);
    await this.send(key, outbox);
    return { key, recorded: () => this.owed.settle(key.keyId, owed) };
  }

  /** `decide` gets the key as it is at each attempt; giving it back unchanged means that there is nothing to change but much to confirm. */
  async change(keyId: string, decide: (key: Key) => Key | Promise<Key>, intend: Intend): Promise<Changed & { reached: Reached }> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const assertInTime = inTime();
      const from = await this.store.get(keyId);
      if (!from) throw new ProblemError('ERR_KEY_UNKNOWN');
      const decided = await decide(from);
      // Asked again for what is already so: a new revision is what the workers can confirm.
      const to = decided === from ? { ...from, revision: from.revision + 1 } : decided;
      const intent = intend(to);
      const owed = await this.owed.oweTogether(keyId, intent);
      const outbox = outboxOf(to, 'io.claviger.key.changed', intent);
      const expected = this.propagation.expect(keyId, to.revision);
      const objects = abandoned(to, from);
      try {
        assertInTime();
        this.objects.assertFresh(objects);
        if (!(await this.store.change(from, to, outbox, [owed]))) {
          this.objects.discard(keyId, objects);
          continue;
        }
        this.objects.named(objects);
        await this.send(to, outbox);
        const reached = await expected.reached(confirmationWaitMs);
        if (to.rotationDue) this.onDue();
        return { key: to, reached, recorded: () => this.owed.settle(keyId, owed) };
      } finally {
        expected.cancel();
      }
    }
    throw new ProblemError('ERR_CONFLICT');
  }

  /** Key material from any worker, wrapped under the KEK of the key's environment and classification. */
  async material(
    {
      keyId,
      algorithm,
      usage,
      environment,
      classification,
      residency,
    }: Pick<Key, 'keyId' | 'algorithm' | 'usage' | 'environment' | 'classification' | 'residency'>,
    trace: Context,
  ): Promise<Material> {
    // First: what is refused makes no KEK either.
    const only = await this.assurance.only({ environment, classification }, algorithm);
    const { kekId, material: kek } = await this.keks.of({ environment, classification }, trace);
    // A secret key never stays in a token as an object.
    const label = algorithms[algorithm].pair ? await this.objects.reserve(keyId) : undefined;
    const made = await this.materials.ask({
      algorithm,
      usage,
      kekId,
      kek,
      trace,
      ...(residency ? { residency } : {}),
      ...only,
      ...(label === undefined ? {} : { label }),
    });
    if (label !== undefined && made.material.custody === 'wrapped') this.objects.release(label);
    return made;
  }

  /**
   * The view goes out first and at once, since that is what stops or starts the workers; its outbox is emptied behind the caller's back. When the
   * broker is away the sweep delivers later, and the caller learns that the change is not confirmed.
   */
  private async send(key: Key, outbox: OutboxEntry[]): Promise<void> {
    const later = (error: unknown) =>
      this.logger.warn(`key ${key.keyId} revision ${key.revision} will be delivered later: ${String(error)}`);
    await this.delivery.putChanged(key).catch(later);
    void this.relay.deliverNow(outbox.map((entry) => ({ aggregateId: key.keyId, entryId: entry.id, entry }))).catch(later);
  }
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
/** `k_` and 131 random bits. */
const newKeyId = () => `k_${Array.from({ length: 22 }, () => alphabet[randomInt(alphabet.length)]).join('')}`;
