import { type EventType, eventSubject, type KnownToken } from '@claviger/contracts';
import type { AuditTrail } from '@claviger/messaging';
import { jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';
import type { Assurance } from './assurance';
import type { TokenSightings } from './token-sightings';
import { type TokenTale, toldNow, withoutTales } from './token-tale';
import type { StoredTold, TokenTales } from './token-tales';
import { type HeardOfToken, heardOf } from './token-words';

/** What another replica wrote down and has not told by then, it will not tell. */
const overdueMs = 30_000;

/**
 * Tells when the validation of a token nears its end, ends or is taken back, and when a token is another than its record says: into the ledger, whose
 * reader raises an alert, and to whoever subscribes. Each once, whatever replicas there are and whenever they start.
 */
export class TokenWatch {
  private timer: NodeJS.Timeout | undefined;
  private looking: Promise<void> | undefined;
  private readonly nowMs: () => number;

  constructor(
    private readonly parts: {
      connection: NatsConnection;
      assurance: Pick<Assurance, 'records' | 'bundle'>;
      sightings: Pick<TokenSightings, 'all' | 'serving'>;
      tales: TokenTales;
      trail: Pick<AuditTrail, 'append'>;
      holder: string;
      logger: LoggerService;
      nowMs?: () => number;
    },
  ) {
    this.nowMs = parts.nowMs ?? Date.now;
  }

  start(everyMs: number): void {
    this.timer = setInterval(() => void this.look(), everyMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.looking;
  }

  look(): Promise<void> {
    this.looking ??= this.lookAtAll().finally(() => (this.looking = undefined));
    return this.looking;
  }

  private async lookAtAll(): Promise<void> {
    const { assurance, sightings, logger } = this.parts;
    const { records, bundle } = assurance;
    if (records.length === 0) return;
    const seen = await sightings.all().catch(() => []);
    for (const token of records)
      try {
        await this.lookAt(token, { heard: heardOf(token.label, seen, sightings.serving()), bundle });
      } catch (error) {
        logger.warn(`token ${token.label}: what is to be told of its validation is told later: ${String(error)}`);
      }
  }

  private async lookAt(token: KnownToken, known: { heard: HeardOfToken | undefined; bundle: number }): Promise<void> {
    const { tales } = this.parts;
    const nowMs = this.nowMs();
    const from = await tales.of(token.label);
    const told = toldNow(from.told, token, { ...known, nowMs });
    const changed = told === from.told ? from : await tales.change(from, told);
    // Another replica was first: it tells.
    if (!changed) return;
    const ours = told === from.told ? told.untold.filter(({ at }) => nowMs - Date.parse(at) >= overdueMs) : told.untold;
    await this.tell(changed, ours);
  }

  private async tell(from: StoredTold, untold: readonly TokenTale[]): Promise<void> {
    const { trail, connection, tales, holder, logger } = this.parts;
    if (untold.length === 0) return;
    const { label } = from.told;
    for (const { id, at, event, detail, data } of untold) {
      await trail.append({ kind: 'token', event, token: label, since: at, detail, holder }, id);
      logger.warn(detail);
      const type = `io.claviger.token.${event}` as EventType;
      const message = {
        specversion: '1.0',
        type,
        datacontenttype: 'application/json',
        id,
        source: 'claviger/key-lifecycle',
        time: at,
        subject: label,
        data,
      };
      await jetstream(connection).publish(eventSubject(type, label), JSON.stringify(message), { msgID: id });
    }
    // Not written, it is told again under the same ids: the stream takes it once, and the ledger has the same record twice.
    await tales.change(from, withoutTales(from.told, new Set(untold.map(({ id }) => id))));
  }
}
