import { randomBytes } from 'node:crypto';
import { inboxPrefix, Reply, requestSubject, requestType, sessionPattern } from '@claviger/contracts';
import { connect, type MsgHdrs, type NatsConnection, tokenAuthenticator } from '@nats-io/transport-node';

/** A caller without the client library: what it sends is what the test says, byte for byte. */
export interface RawCaller {
  readonly principal: string;
  readonly session: string;
  readonly connection: NatsConnection;
  /** What the broker said against this connection, in order. */
  readonly refusals: string[];
  subject(operation: string): string;
  /** Sends `body` as it is; the answer is checked against the contract. */
  send(operation: string, body: string | Uint8Array, headers?: MsgHdrs): Promise<Reply>;
  /** A well-formed request with these fields. */
  ask(operation: string, fields: Record<string, unknown>, headers?: MsgHdrs): Promise<Reply>;
  close(): Promise<void>;
}

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz012345';
export const freshSession = (): string => [...randomBytes(22)].map((byte) => letters[byte % letters.length]).join('');

/** `session` may be any text: then the broker says what it thinks of it. */
export async function rawCaller(url: string, principal: string, token: string, session = freshSession()): Promise<RawCaller> {
  const connection = await connect({
    servers: url,
    authenticator: tokenAuthenticator(token),
    name: session,
    inboxPrefix: inboxPrefix(principal, sessionPattern.test(session) ? session : 'none'),
    reconnect: false,
    ignoreClusterUpdates: true,
  });
  const refusals: string[] = [];
  void (async () => {
    for await (const status of connection.status()) if (status.type === 'error') refusals.push(status.error.message);
  })();
  const subject = (operation: string) => {
    const [service, verb] = operation.split('.') as [string, string];
    return requestSubject({ principal, session, service, verb });
  };
  const send = async (operation: string, body: string | Uint8Array, headers?: MsgHdrs) => {
    const message = await connection.request(subject(operation), body, { timeout: 10_000, ...(headers ? { headers } : {}) });
    return Reply.parse(message.json());
  };
  return {
    principal,
    session,
    connection,
    refusals,
    subject,
    send,
    ask: (operation, fields, headers) => send(operation, JSON.stringify({ type: requestType, ...fields }), headers),
    close: () => connection.close(),
  };
}

/** The code of the problem that a reply holds, or `OK`. */
export const codeIn = (reply: Reply): string => ('problem' in reply ? reply.problem.code : 'OK');
