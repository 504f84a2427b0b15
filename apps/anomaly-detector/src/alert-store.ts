import { type Alert, ProblemError } from '@claviger/contracts';
import type { OutboxItem, OutboxPage, OutboxSource } from '@claviger/messaging';
import { givenUpAfter } from '@claviger/operability';
import { type Collection, type Db, MongoServerError } from 'mongodb';
import { type AlertEvent, alertEvent } from './alert-event';

interface AlertDocument {
  _id: string;
  version: number;
  alert: Alert;
  /** Events that this document's changes caused and that are not published yet. */
  outbox: { entryId: string; event: AlertEvent }[];
}

const duplicateKey = 11_000;

/**
 * One document an alert, with its outgoing events in it: what is stored is published, also when the process dies between the two. Every method
 * throws ProblemError ERR_STORE_UNAVAILABLE when the outcome is not known.
 */
export class AlertStore implements OutboxSource<AlertEvent> {
  private readonly alerts: Collection<AlertDocument>;

  constructor(db: Db) {
    this.alerts = db.collection('alerts');
  }

  async prepare(): Promise<void> {
    await reached(async () => {
      await this.alerts.createIndex({ 'alert.lastSeen': -1 });
      await this.alerts.createIndex({ 'alert.status': 1, 'alert.lastSeen': -1 });
      await this.alerts.createIndex({ 'outbox.entryId': 1 });
    });
  }

  /** Claims the alert. Gives the events to publish; none when it was known already. */
  async raise(alert: Alert): Promise<OutboxItem<AlertEvent>[]> {
    const event = alertEvent('raised', alert, alert.lastSeen);
    const entry = { entryId: event.id, event };
    const claimed = await reached(() =>
      this.alerts.insertOne({ _id: alert.alertId, version: 1, alert, outbox: [entry] }).then(
        () => true,
        (error: unknown) => {
          if (error instanceof MongoServerError && error.code === duplicateKey) return false;
          throw error;
        },
      ),
    );
    return claimed ? [item(alert.alertId, entry)] : [];
  }

  /** Newest first. */
  async list({ limit, status }: { limit: number; status?: Alert['status'] | undefined }): Promise<Alert[]> {
    const found = await reached(() =>
      this.alerts
        .find(status ? { 'alert.status': status } : {})
        .sort({ 'alert.lastSeen': -1 })
        .limit(limit)
        .toArray(),
    );
    return found.map(({ alert }) => alert);
  }

  /** The first to acknowledge stays the one who did: a repetition changes nothing. @throws ProblemError ERR_NOT_FOUND, ERR_CONFLICT */
  async acknowledge(alertId: string, by: string, note: string, now: Date): Promise<{ alert: Alert; events: OutboxItem<AlertEvent>[] }> {
    return reached(async () => {
      const found = await this.alerts.findOne({ _id: alertId });
      if (!found) throw new ProblemError('ERR_NOT_FOUND');
      if (found.alert.status === 'acknowledged') return { alert: found.alert, events: [] };
      const alert: Alert = { ...found.alert, status: 'acknowledged', acknowledgedBy: by, note };
      const event = alertEvent('acknowledged', alert, now.toISOString());
      const entry = { entryId: event.id, event };
      // An event of before that is not published yet stays before this one. A relay that takes it out meanwhile changes no version.
      const { modifiedCount } = await this.alerts.updateOne(
        { _id: alertId, version: found.version },
        { $set: { alert }, $inc: { version: 1 }, $push: { outbox: entry } },
      );
      if (modifiedCount === 0) throw new ProblemError('ERR_CONFLICT');
      return { alert, events: [...found.outbox.map((e) => item(alertId, e)), item(alertId, entry)] };
    });
  }

  async pending(limit: number, after = ''): Promise<OutboxPage<AlertEvent>> {
    const found = await reached(() =>
      this.alerts
        .find({ _id: { $gt: after }, 'outbox.entryId': { $gt: '' } })
        .sort({ _id: 1 })
        .limit(limit)
        .toArray(),
    );
    const items = found.flatMap(({ _id, outbox }) => outbox.map((entry) => item(_id, entry)));
    return { items, next: found.length === limit ? found.at(-1)?._id : undefined };
  }

  async remove(alertId: string, entryIds: string[]): Promise<void> {
    await reached(() => this.alerts.updateOne({ _id: alertId }, { $pull: { outbox: { entryId: { $in: entryIds } } } }));
  }

  /** Resolves when the store answers. */
  async ping(): Promise<void> {
    await reached(() => this.alerts.findOne({ _id: '' }));
  }
}

const item = (aggregateId: string, { entryId, event }: AlertDocument['outbox'][number]): OutboxItem<AlertEvent> => ({
  aggregateId,
  entryId,
  entry: event,
});

async function reached<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await givenUpAfter(ask());
  } catch (error) {
    throw error instanceof ProblemError ? error : new ProblemError('ERR_STORE_UNAVAILABLE', undefined, { cause: error });
  }
}
