import { eventSubject, eventTypes, type Trust } from '@claviger/contracts';
import { ed25519Verifier, openCheckpoint } from '@claviger/ledger';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';

const type = 'io.claviger.ledger.checkpoint';

export interface SignedCheckpoint {
  /** C2SP signed note. */
  note: string;
  size: number;
  /** Last message of AUDIT that it covers. */
  streamSeq: number;
}

export interface Checkpoints {
  /** The newest that was published; its signature is verified. Undefined before the first. */
  newest(): Promise<SignedCheckpoint | undefined>;
  /** How far AUDIT is. */
  auditSeq(): Promise<number>;
}

export function publishedCheckpoints(connection: NatsConnection, { origin, vkey }: Trust['ledger']): Checkpoints {
  const verifier = ed25519Verifier(vkey);
  return {
    newest: async () => {
      const jsm = await jetstreamManager(connection);
      const message = await jsm.streams.getMessage('LEDGER', { last_by_subj: eventSubject(type) });
      if (!message) return undefined;
      const { checkpoint, size, streamSeq } = eventTypes[type].data.parse(message.json<{ data?: unknown }>().data);
      if (openCheckpoint(checkpoint, [verifier], origin).size !== size)
        throw new Error('the checkpoint on LEDGER is of another size than it says');
      return { note: checkpoint, size, streamSeq };
    },
    auditSeq: async () => (await (await jetstreamManager(connection)).streams.info('AUDIT')).state.last_seq,
  };
}
