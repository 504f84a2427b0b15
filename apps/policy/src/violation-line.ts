import { sessionPattern } from '@claviger/contracts';

/** A publish or subscription that the broker refused, as its log says it. */
export interface Violation {
  readonly violation: 'publish' | 'subscription';
  /** The broker's own number of the connection. */
  readonly client: number;
  /** The connection's name. */
  readonly session: string;
  readonly subject: string;
}

/** Longest subject that is kept; the rest says nothing more. */
const subjectChars = 256;

/**
 * `[pid] date time [ERR] 127.0.0.1:1234 - cid:7 - "v3.4.0:nats.js:NAME" - "CLIENTS/user:NAME" - Publish Violation - Subject "x"` (nats-server
 * 2.15, seen; `wid` over WebSocket).
 * Address and cid are the server's; what is between the quotes is the client's own text (language, version, name), so the line is read from its
 * start, and whoever uses it checks that this session really is this connection.
 */
const line = /^\[\d+\] [\d/]+ [\d:.]+ \[ERR\] \S+ - [cw]id:(\d+) - (".*") - (".*?") - (Publish|Subscription) Violation - Subject "([^"]*)/;

export function parseViolation(text: string): Violation | undefined {
  const found = line.exec(text);
  if (!found) return undefined;
  const [, client, described, , kind, subject] = found as unknown as [string, string, string, string, string, string];
  const session = described.slice(1, -1).split(':').at(-1) ?? '';
  if (!sessionPattern.test(session)) return undefined;
  return {
    violation: kind === 'Publish' ? 'publish' : 'subscription',
    client: Number(client),
    session,
    subject: subject.slice(0, subjectChars),
  };
}
