import { internalSubject, type Operation, ProblemError, type Result, requestType } from '@claviger/contracts';
import { type NatsConnection, NoRespondersError, RequestError, TimeoutError } from '@nats-io/transport-node';
import { context } from '@opentelemetry/api';
import type { z } from 'zod';
import { traceHeaders } from './trace';

/** Asks another service over its internal subject. No responder and no answer in time are two different errors. */
export async function askInternal<O extends Operation>(
  connection: NatsConnection,
  operation: O,
  input: Omit<z.input<O['request']>, 'type' | 'requestId'>,
  options: { timeoutMs: number; trace?: ReturnType<typeof context.active> },
): Promise<Result<O>> {
  const headers = traceHeaders(options.trace ?? context.active());
  try {
    const reply = await connection.request(
      internalSubject(operation.service, operation.verb),
      JSON.stringify({ type: requestType, ...input }),
      {
        timeout: options.timeoutMs,
        ...(headers ? { headers } : {}),
      },
    );
    const body = reply.json<{ result?: unknown; problem?: { code: ConstructorParameters<typeof ProblemError>[0]; detail: string } }>();
    if (body.problem) throw new ProblemError(body.problem.code, body.problem.detail);
    return operation.result.parse(body.result) as Result<O>;
  } catch (error) {
    if (error instanceof ProblemError) throw error;
    if (error instanceof NoRespondersError || (error instanceof RequestError && error.isNoResponders()))
      throw new ProblemError('ERR_WORKER_UNAVAILABLE', `nobody answers ${operation.name}`, { cause: error });
    if (error instanceof TimeoutError)
      throw new ProblemError('ERR_TIMEOUT', `${operation.name} got no answer in ${options.timeoutMs} ms`, { cause: error });
    throw error;
  }
}
