import { type Alert, CloudEventEnvelope, clientAlerts, eventTypes } from '@claviger/contracts';
import { jetstream } from '@nats-io/jetstream';
import { errors, type Msg } from '@nats-io/transport-node';
import { ClavigerError } from './claviger-error';
import type { Link, LiveSession } from './link';

/** One message about an alert. */
export interface AlertNotice {
  readonly id: string;
  /** `io.claviger.alert.raised`, `io.claviger.alert.acknowledged`, or what later versions say. */
  readonly type: string;
  readonly time: string;
  /** Absent when this version of the library cannot read it; nothing that was sent is left out, see `raw`. */
  readonly alert?: Alert;
  readonly raw: string;
}

export interface WatchAlertsOptions {
  /**
   * Live (default): what is published from now on. Durable: everything since this was last read, each acknowledged when the loop comes back for
   * the next one; a loop that ends or throws leaves its last notice to be delivered again.
   */
  durable?: boolean;
  signal?: AbortSignal;
}

/** How many ids of live notices are kept, to give a notice once while two connections overlap. */
const remembered = 1_000;
const pullMs = 5_000;

export async function* watchLive(link: Link, signal?: AbortSignal): AsyncGenerator<AlertNotice> {
  const queue: (AlertNotice | ClavigerError)[] = [];
  const seen = new Set<string>();
  let wake: () => void = () => undefined;
  const push = (item: AlertNotice | ClavigerError) => {
    if ('raw' in item) {
      if (item.id !== '' && seen.has(item.id)) return;
      seen.add(item.id);
      if (seen.size > remembered) seen.delete(seen.values().next().value!);
    }
    queue.push(item);
    wake();
  };
  const unfollow = link.follow(async ({ connection }) => {
    connection.subscribe(clientAlerts.liveSubject, { callback: (error, m) => push(error ? refused(error) : toNotice(m)) });
    await connection.flush();
  });
  const stop = () => wake();
  signal?.addEventListener('abort', stop);
  try {
    while (!signal?.aborted) {
      const item = queue.shift();
      if (item instanceof ClavigerError) throw item;
      if (item) yield item;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    unfollow();
    signal?.removeEventListener('abort', stop);
  }
}

/** Reads the pre-made pull consumer of the security team: callers may not create consumers. */
export async function* watchDurably(link: Link, timeoutMs: number, signal?: AbortSignal): AsyncGenerator<AlertNotice> {
  while (!signal?.aborted) {
    const session = await link.session(timeoutMs);
    try {
      yield* readOn(session, link, signal);
    } catch (error) {
      // The connection ended or was replaced: go on with the next one.
      if (!session.connection.isClosed() && !session.retired) throw refused(error);
    }
  }
}

async function* readOn(session: LiveSession, link: Link, signal?: AbortSignal): AsyncGenerator<AlertNotice> {
  const consumer = await jetstream(session.connection).consumers.get(clientAlerts.stream, clientAlerts.consumer);
  while (!signal?.aborted && !session.retired && !session.connection.isClosed()) {
    const message = await consumer.next({ expires: pullMs });
    if (!message) continue;
    session.inFlight++;
    try {
      yield toNotice(message);
      message.ack();
    } finally {
      link.release(session);
    }
  }
}

function refused(cause: unknown): ClavigerError {
  // The JetStream client wraps what the broker said, sometimes twice.
  let reason = cause;
  while (reason instanceof Error && !(reason instanceof errors.PermissionViolationError) && reason.cause) reason = reason.cause;
  const code = reason instanceof errors.PermissionViolationError ? 'ERR_ACCESS_DENIED' : 'ERR_CONNECTION';
  return new ClavigerError(code, { detail: `Alerts cannot be read: ${reason instanceof Error ? reason.message : String(reason)}.`, cause });
}

function toNotice(m: Pick<Msg, 'string'>): AlertNotice {
  const raw = m.string();
  const envelope = CloudEventEnvelope.safeParse(parseJson(raw));
  if (!envelope.success) return { id: '', type: '', time: '', raw };
  const { id, type, time, data } = envelope.data;
  const known =
    type === 'io.claviger.alert.raised' || type === 'io.claviger.alert.acknowledged' ? eventTypes[type].data.safeParse(data) : undefined;
  return { id, type, time, raw, ...(known?.success ? { alert: known.data.alert } : {}) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
