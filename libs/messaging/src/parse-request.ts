import { isUtf8 } from 'node:buffer';
import { isPacked, limits, type Operation, PackedError, ProblemError, unpackFields } from '@claviger/contracts';
import type { Msg } from '@nats-io/transport-node';
import { listProblem } from './bounded-lists';

/** The only headers that a caller may set. The broker itself adds Nats-Request-Info across an account import. */
const callerHeaders = new Set(['traceparent', 'tracestate']);

/** Headers of a caller, refused when they hold anything but a trace context: identity never comes from a header. */
export function callerTraceHeaders(m: Msg) {
  let found: Msg['headers'];
  try {
    found = m.headers;
    for (const key of found?.keys() ?? [])
      if (!callerHeaders.has(key) && key !== 'Nats-Request-Info')
        throw new ProblemError('ERR_HEADER_REFUSED', 'Callers may set traceparent and tracestate only.');
  } catch (error) {
    throw error instanceof ProblemError ? error : new ProblemError('ERR_HEADER_REFUSED', 'A header is malformed.');
  }
  return found;
}

/** JSON text to a validated request. The detail names paths and rules, never values. */
export const parseInput = (operation: Operation, data: Uint8Array): unknown => parseBody(operation, readBody(data));

/** The JSON of a request, of which nothing has been inflated. */
export function readBody(data: Uint8Array): unknown {
  if (data.length > limits.messageBytes) throw new ProblemError('ERR_PAYLOAD_TOO_LARGE', `at most ${limits.messageBytes} bytes`);
  try {
    if (!isUtf8(data)) throw new SyntaxError('not UTF-8');
    return JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8'));
  } catch {
    throw notJson();
  }
}

/** Whether something of it travels packed: a message may then hold eight times what it looks like, and more of work. */
export const isPackedBody = ({ packs = [] }: Operation, json: unknown): boolean =>
  typeof json === 'object' && json !== null && packs.some((name) => isPacked((json as Record<string, unknown>)[name]));

/** What `readBody` read, to a validated request: what is packed is inflated. */
export function parseBody(operation: Operation, body: unknown): unknown {
  let json = body;
  try {
    if (operation.packs) json = unpackFields(json, operation.packs);
    if (namesPrototype(json)) throw new SyntaxError('__proto__');
  } catch (error) {
    if (error instanceof PackedError) throw new ProblemError('ERR_MALFORMED_REQUEST', `${operation.packs?.join(', ')}: ${error.message}`);
    throw notJson();
  }
  // A few kB may have become millions of items.
  const problem = operation.packs && listProblem(operation.request, json);
  if (problem) throw new ProblemError('ERR_MALFORMED_REQUEST', problem);
  const parsed = operation.request.safeParse(json);
  if (parsed.success) return parsed.data;
  const tooLong = parsed.error.issues.find(
    (i) => i.code === 'too_big' && (i.path[0] === 'plaintext' || i.path[0] === 'message' || i.path[0] === 'ciphertext'),
  );
  if (tooLong)
    throw new ProblemError(
      'ERR_PAYLOAD_TOO_LARGE',
      `${String(tooLong.path[0])} is over its limit; use envelope encryption for large data.`,
    );
  const detail = parsed.error.issues
    .slice(0, 5)
    .map((i) => `${i.path.join('.').slice(0, 80) || 'body'}: ${i.code === 'unrecognized_keys' ? 'unknown field' : i.message.slice(0, 120)}`)
    .join('; ');
  throw new ProblemError('ERR_MALFORMED_REQUEST', detail);
}

const notJson = () => new ProblemError('ERR_MALFORMED_REQUEST', 'The body is not JSON in UTF-8.');

/** A record schema passes over a member of this name in silence: it would be in the request, and neither in what is authenticated nor in what is recorded. */
const namesPrototype = (json: unknown): boolean =>
  typeof json === 'object' && json !== null && (Object.hasOwn(json, '__proto__') || Object.values(json).some(namesPrototype));
