import { type CloudEvent, cloudEvent, type EventType, eventSubject, eventTypes } from '@claviger/contracts';
import { JetStreamApiError, type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { StoredCheckpoint } from './checkpoint-store';

type Data<T extends EventType> = CloudEvent<T>['data'];
type CheckpointData = Data<'io.claviger.ledger.checkpoint'>;

const checkpointType = 'io.claviger.ledger.checkpoint';
const checkpointSubject = eventSubject(checkpointType);
const wrongLastSequence = 10_071;
const source = 'urn:claviger:audit';

/** What the ledger tells the world on LEDGER. Its checkpoints there only ever grow: each is published against the one before. */
export class LedgerEvents {
  private lastCheckpointSeq = 0;
  private lastCheckpointSize = -1;

  private constructor(
    private readonly js: JetStreamClient,
    private readonly jsm: JetStreamManager,
    private readonly now: () => Date,
  ) {}

  static async open(connection: NatsConnection, now: () => Date = () => new Date()): Promise<LedgerEvents> {
    return new LedgerEvents(jetstream(connection), await jetstreamManager(connection), now);
  }

  /** The last checkpoint that was published, as it was: nobody has verified it yet. Undefined before the first. */
  async lastCheckpoint(): Promise<CheckpointData | undefined> {
    const message = await this.jsm.streams.getMessage('LEDGER', { last_by_subj: checkpointSubject });
    if (!message) return undefined;
    const data = checkpointIn(message.string());
    this.lastCheckpointSeq = message.seq;
    this.lastCheckpointSize = data.size;
    return data;
  }

  /** Publishes a checkpoint, unless one of the same or a larger size is published already. */
  async checkpoint({ size, note, streamSeq }: StoredCheckpoint): Promise<void> {
    const id = `checkpoint-${size}`;
    const event = cloudEvent(checkpointType, {
      id,
      source,
      time: this.now().toISOString(),
      data: { checkpoint: note, size, streamSeq },
    });
    while (this.lastCheckpointSize < size) {
      try {
        const { seq } = await this.js.publish(checkpointSubject, JSON.stringify(event), {
          msgID: id,
          expect: { lastSubjectSequence: this.lastCheckpointSeq },
        });
        this.lastCheckpointSeq = seq;
        this.lastCheckpointSize = size;
      } catch (error) {
        if (!(error instanceof JetStreamApiError) || error.code !== wrongLastSequence) throw error;
        // Another process published meanwhile.
        await this.lastCheckpoint();
      }
    }
  }

  /** `id` is the finding record's: published again after a crash it is the same event. */
  async finding(id: string, time: string, data: Data<'io.claviger.ledger.finding'>): Promise<void> {
    const type = 'io.claviger.ledger.finding';
    await this.js.publish(eventSubject(type), JSON.stringify(cloudEvent(type, { id, source, time, data })), { msgID: id });
  }
}

/** What is no checkpoint event becomes one whose note verifies under no key: it is refused like any other forgery. */
function checkpointIn(text: string): CheckpointData {
  try {
    return eventTypes[checkpointType].data.parse((JSON.parse(text) as { data?: unknown }).data);
  } catch {
    return { checkpoint: '', size: 0, streamSeq: 0 };
  }
}
