import { type NatsServer, startNatsServer, temporaryFolder } from '@claviger/testing';
import { type ConnectionOptions, connect, type NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';

export interface PlainBroker extends NatsServer {
  connection(options?: ConnectionOptions): Promise<NatsConnection>;
  close(): Promise<void>;
}

/** A real server without accounts: for what does not depend on who may do what. */
export async function startPlainBroker(config?: string): Promise<PlainBroker> {
  const folder = await temporaryFolder('messaging-spec');
  const server = await startNatsServer({ dir: folder.path, ...(config ? { config } : {}) });
  const connections: NatsConnection[] = [];
  return Object.assign(server, {
    async connection(options: ConnectionOptions = {}) {
      const connection = await connect({ servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 100, ...options });
      connections.push(connection);
      return connection;
    },
    async close() {
      await Promise.all(connections.map((c) => c.close()));
      await server.stop();
      await folder.remove();
    },
  });
}

/** Keeps what is said. */
export function listeningLogger(): LoggerService & { lines: string[] } {
  const lines: string[] = [];
  const keep = (line: unknown) => void lines.push(String(line));
  return { lines, log: keep, warn: keep, error: keep };
}
