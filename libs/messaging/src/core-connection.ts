import { readFileSync } from 'node:fs';
import { serviceInboxPrefix } from '@claviger/contracts';
import { connect, type NatsConnection, nkeyAuthenticator } from '@nats-io/transport-node';

export interface CoreConnectionOptions {
  /** Comma-separated `nats://` or `tls://` URLs. */
  servers: string;
  /** File with the nkey seed of this service's CORE user. */
  nkeySeedFile: string;
  /** Service name: names the connection and its inbox. */
  service: string;
  tls?: { caFile?: string; certFile?: string; keyFile?: string };
}

/**
 * Connects a service to the CORE account and reconnects for ever: losing the broker makes requests fail, it never makes a process exit.
 * The first connection is waited for as well, so that services and broker may start in any order.
 */
export function connectToCore(options: CoreConnectionOptions): Promise<NatsConnection> {
  // An empty `tls` would already ask for TLS: a broker without it would then never be reached.
  const tls = Object.values(options.tls ?? {}).some((file) => file !== undefined) ? options.tls : undefined;
  const seed = new TextEncoder().encode(readFileSync(options.nkeySeedFile, 'utf8').trim());
  return connect({
    servers: options.servers.split(','),
    authenticator: nkeyAuthenticator(seed),
    name: options.service,
    inboxPrefix: serviceInboxPrefix(options.service),
    maxReconnectAttempts: -1,
    // An overloaded broker says "authentication timeout": no reason to stay away for good.
    ignoreAuthErrorAbort: true,
    waitOnFirstConnect: true,
    reconnectTimeWait: 250,
    reconnectJitter: 250,
    pingInterval: 5_000,
    maxPingOut: 2,
    // Else each publish to JetStream makes one more error object, stack included, in case it is needed.
    noAsyncTraces: true,
    ...(tls ? { tls } : {}),
  });
}
