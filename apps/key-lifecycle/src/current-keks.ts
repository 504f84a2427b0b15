import { internalOperations } from '@claviger/contracts';
import { askInternal } from '@claviger/messaging';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Context } from '@opentelemetry/api';
import type { Delivery } from './delivery';
import { currentKek, type LivingKek, newKek, nextGeneration, type Pair } from './kek';
import type { KekStore } from './kek-store';
import { inTime } from './kek-use';
import type { Roots } from './roots';

const hsmTimeoutMs = 5_000;

/** The KEK that new keys of an environment and classification are wrapped under. It is asked for at each use: another replica may have rotated it. */
export class CurrentKeks {
  /** Who asks while it is read shares the answer. */
  private readonly asked = new Map<string, Promise<LivingKek>>();

  constructor(
    private readonly connection: NatsConnection,
    private readonly store: KekStore,
    private readonly roots: Roots,
    private readonly delivery: Pick<Delivery, 'putKek'>,
  ) {}

  of(pair: Pair, trace: Context): Promise<LivingKek> {
    const name = `${pair.environment} ${pair.classification}`;
    let asking = this.asked.get(name);
    if (!asking) {
      asking = this.find(pair, trace).finally(() => this.asked.delete(name));
      this.asked.set(name, asking);
    }
    return asking;
  }

  /** A new one in its generation, unless somebody was first: then that one. */
  async make(pair: Pair, generation: number, trace: Context): Promise<LivingKek> {
    const assertInTime = inTime();
    const root = await this.roots.current();
    const material = await askInternal(
      this.connection,
      internalOperations.generateKek,
      // Workers from before there was a second root know no such field.
      root ?? {},
      { timeoutMs: hsmTimeoutMs, trace },
    );
    // Its root may be on its way out as well.
    assertInTime();
    return (await this.store.claim(newKek(pair, generation, material, new Date().toISOString()))) as LivingKek;
  }

  private async find(pair: Pair, trace: Context): Promise<LivingKek> {
    const keks = await this.store.ofPair(pair);
    const kek = currentKek(keks) ?? (await this.make(pair, nextGeneration(keks), trace));
    // Before any key under it: a worker that sees the key must find its KEK.
    await this.delivery.putKek(kek);
    return kek;
  }
}
