import {
  exportOperations,
  importOperations,
  limits,
  type Operation,
  PackedError,
  packFields,
  Reply,
  requestType,
  unpackFields,
} from '@claviger/contracts';
import { bytesToText, textToBytes } from './byte-fields';
import { ClavigerError } from './claviger-error';

/** Of other operations no field is a byte string, though some have such a name. */
const holdsBytes = ({ service, name }: Operation): boolean => service === 'crypto' || transport.has(name);
const transport: ReadonlySet<string> = new Set(
  [importOperations, exportOperations].flatMap((group) => Object.values<Operation>(group).map(({ name }) => name)),
);

/** The body of a request. @throws ClavigerError ERR_PAYLOAD_TOO_LARGE before anything is sent */
export function encodeRequest(operation: Operation, input: Record<string, unknown>, requestId: string, change?: string): string {
  const body = JSON.stringify({
    type: requestType,
    requestId,
    ...(change === undefined ? {} : { change }),
    ...fieldsOf(operation, input, requestId),
  });
  for (const field of ['plaintext', 'message']) {
    const value = holdsBytes(operation) ? input[field] : undefined;
    if (value instanceof Uint8Array && value.byteLength > limits.plaintextBytes)
      throw new ClavigerError('ERR_PAYLOAD_TOO_LARGE', {
        detail: `${field} has ${value.byteLength} bytes, at most ${limits.plaintextBytes} are taken. Larger data: seal().`,
        requestId,
      });
  }
  // UTF-8 takes at most three bytes a UTF-16 unit: only long texts are measured.
  if (body.length * 3 > limits.messageBytes && Buffer.byteLength(body) > limits.messageBytes)
    throw new ClavigerError('ERR_PAYLOAD_TOO_LARGE', { detail: `A request has at most ${limits.messageBytes} bytes.`, requestId });
  return body;
}

/** The input as a change request names it: byte strings as base64url, nothing packed. */
export const commandInput = (operation: Operation, input: Record<string, unknown>): Record<string, unknown> =>
  holdsBytes(operation) ? bytesToText(input) : input;

/** The inverse. */
export const callInput = (operation: Operation, input: Record<string, unknown>): Record<string, unknown> =>
  holdsBytes(operation) ? textToBytes(structuredClone(input)) : input;

function fieldsOf(operation: Operation, input: Record<string, unknown>, requestId: string): Record<string, unknown> {
  if (holdsBytes(operation)) return bytesToText(input);
  try {
    return packFields(input, operation.packs);
  } catch (cause) {
    if (!(cause instanceof PackedError)) throw cause;
    throw new ClavigerError('ERR_PAYLOAD_TOO_LARGE', {
      detail: `What ${operation.name} sends is too large: ${cause.message}.`,
      requestId,
      cause,
    });
  }
}

/**
 * The outcome out of a reply's text: `{ ...result, receipt? }`.
 * @throws ClavigerError the problem that the service answered, or ERR_INTERNAL for a reply that the contract does not allow
 */
export function decodeReply(operation: Operation, text: string, requestId: string): Record<string, unknown> {
  const reply = Reply.safeParse(parseJson(text));
  if (!reply.success) throw outsideContract(operation, requestId);
  const { receipt } = reply.data;
  if ('problem' in reply.data) throw ClavigerError.fromProblem(reply.data.problem, { requestId, ...(receipt ? { receipt } : {}) });
  const result = operation.result.safeParse(received(operation, reply.data.result));
  if (!result.success) throw outsideContract(operation, requestId);
  const fields = result.data as Record<string, unknown>;
  const outcome = holdsBytes(operation) ? textToBytes(fields) : fields;
  if (receipt) outcome.receipt = receipt;
  return outcome;
}

/** Undefined, which no result is, where it cannot be unpacked. */
function received({ packs }: Operation, result: unknown): unknown {
  try {
    return unpackFields(result, packs);
  } catch {
    return undefined;
  }
}

const outsideContract = (operation: Operation, requestId: string) =>
  new ClavigerError('ERR_INTERNAL', {
    detail: `The reply to ${operation.name} does not match the contract of this client's version.`,
    requestId,
  });

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
