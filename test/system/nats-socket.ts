import { once } from 'node:events';
import { connect } from 'node:net';
import { inboxPrefix } from '@claviger/contracts';
import { until } from '@claviger/testing';
import { freshSession } from './raw-caller';

/** The NATS client protocol spoken by hand, for bytes that no client library would send. */
export interface NatsSocket {
  readonly session: string;
  readonly inbox: string;
  /** Everything that the broker has sent. */
  received(): string;
  write(text: string): void;
  /** HPUB with exactly these header lines. */
  publishWithHeaders(subject: string, reply: string, headerLines: string, body: string): void;
  close(): Promise<void>;
}

export async function natsSocket(url: string, principal: string, token: string, session = freshSession()): Promise<NatsSocket> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  const inbox = `${inboxPrefix(principal, session)}.answers`;
  const options = {
    auth_token: token,
    name: session,
    lang: 'test',
    version: '1',
    protocol: 1,
    headers: true,
    no_responders: true,
    verbose: false,
  };
  const write = (line: string) => void socket.write(line, 'latin1');
  write(`CONNECT ${JSON.stringify(options)}\r\nSUB ${inbox} 1\r\nPING\r\n`);
  await until(() => text.includes('PONG'), { what: 'the broker to let the socket in' });
  return {
    session,
    inbox,
    received: () => text,
    write,
    publishWithHeaders(subject, reply, headerLines, body) {
      const head = `NATS/1.0\r\n${headerLines}\r\n\r\n`;
      write(`HPUB ${subject} ${reply} ${head.length} ${head.length + body.length}\r\n${head}${body}\r\n`);
    },
    async close() {
      if (socket.destroyed) return;
      socket.destroy();
      await once(socket, 'close');
    },
  };
}
