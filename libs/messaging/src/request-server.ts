import {
  type ErrorCode,
  internalSubject,
  type Operation,
  ProblemError,
  packFields,
  parseRequestSubject,
  problem,
  type Receipt,
  serviceSubject,
} from '@claviger/contracts';
import { type Msg, type NatsConnection, type Subscription } from '@nats-io/transport-node';
import { type CustomTransportStrategy, Server } from '@nestjs/microservices';
import { context, trace } from '@opentelemetry/api';
import { isObservable, lastValueFrom } from 'rxjs';
import { callerTraceHeaders, isPackedBody, parseBody, parseInput, readBody } from './parse-request';
import type { RequestContext } from './request-context';
import { endSpan, extractTrace, SpanKind, startSpan } from './trace';

/** What a handler gives back: the result, and where its record lies when the operation was recorded. */
export interface Answer<T = unknown> {
  result: T;
  receipt?: Receipt;
}

/** Records a request that never reached its handler, and returns where. */
export type RecordRefusal = (
  request: RequestContext,
  operation: Operation | undefined,
  refusal: ProblemError,
) => Promise<Receipt | undefined>;

/**
 * Whether a request of which something is packed may be inflated: who asks, and whether policy could allow it at all. What it refuses it has recorded: it throws
 * RecordedProblem, or a ProblemError where no record is possible.
 */
export type AdmitPacked = (request: RequestContext, operation: Operation) => Promise<void>;

export interface RequestServerOptions {
  connection: NatsConnection;
  /** Service name: the queue group and the fifth token of the subject. */
  services: Record<string, Readonly<Record<string, Operation>>>;
  /** Internal services (`claviger-internal.v1.<service>.*`) that this process answers. */
  internal?: Record<string, Readonly<Record<string, Operation>>>;
  /** Without it nothing packed is taken from callers. */
  admitPacked?: AdmitPacked;
  maxInFlight?: number;
  /** Longest that `close` takes; default 8 s: a request may take some seconds in its handler, and whoever drains this process has more to do after it. */
  closeWaitMs?: number;
}

/** Replies to requests that crossed from CLIENTS to CORE; see broker-config.ts. */
const importedReply = '_R_.';
const serviceInboxes = '_INBOX.core.';

/**
 * Nest transport for request and reply: subscribes in a queue group, validates against the contract, calls the handler, replies.
 * Whatever a caller sends, the answer is a result or a problem, and nothing that it sends can end the read loop: a throw inside a
 * subscription callback would (and a malformed header name throws on access), so everything happens inside one try.
 */
export class RequestServer extends Server implements CustomTransportStrategy {
  private readonly subscriptions: Subscription[] = [];
  /** Apart from each other: `audit` answers callers and services, and no caller reaches what is for services. */
  private readonly operations: Record<'clients' | 'services', Map<string, Operation>>;
  /** Looked up once: Nest normalises the pattern at each call of its own lookup. */
  private readonly routes = new Map<string, (...args: never[]) => unknown>();
  private inFlight = 0;
  private live: Subscription | undefined;
  private idle: (() => void) | undefined;
  private recordRefusal: RecordRefusal = async () => undefined;
  /** Called for each answered request, with its code when it was refused: feeds metrics. */
  observe: (operation: string, code: ErrorCode | 'OK', seconds: number) => void = () => undefined;

  constructor(private readonly options: RequestServerOptions) {
    super();
    this.operations = { clients: byName(options.services), services: byName(options.internal ?? {}) };
  }

  recordRefusalsWith(record: RecordRefusal): void {
    this.recordRefusal = record;
  }

  listen(ready: (error?: unknown) => void): void {
    const { connection, services, internal = {} } = this.options;
    for (const name of [...this.operations.clients.keys(), ...this.operations.services.keys()]) {
      const handler = this.getHandlerByPattern(name);
      if (handler) this.routes.set(name, handler as (...args: never[]) => unknown);
    }
    for (const service of Object.keys(services)) this.subscribe(serviceSubject(service), service, (m) => void this.onRequest(service, m));
    for (const service of Object.keys(internal))
      this.subscribe(internalSubject(service, '*'), service, (m) => void this.onInternal(service, m));
    connection.flush().then(() => ready(), ready);
  }

  /**
   * Leaves the queue group, then answers what the broker had sent here already and what is in flight: no request that was taken is lost. Ends
   * after `closeWaitMs` at the latest, since a broker that is away answers nothing.
   */
  async close(): Promise<void> {
    if (this.options.connection.isClosed()) return;
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      this.answerTheRest().catch((error) => this.logger.warn(`while draining requests: ${String(error)}`)),
      new Promise((resolve) => (timer = setTimeout(resolve, this.options.closeWaitMs ?? 8_000))),
    ]);
    clearTimeout(timer);
  }

  private async answerTheRest(): Promise<void> {
    await Promise.all(this.subscriptions.splice(0).map((s) => s.drain()));
    if (this.inFlight > 0) await new Promise<void>((resolve) => (this.idle = resolve));
    await this.options.connection.flush();
  }

  /** A request through the broker to this process itself: proves that the read loop is alive, also before the first request is taken. */
  async selfRequest(timeoutMs: number): Promise<void> {
    const { connection } = this.options;
    const subject = internalSubject(`liveness.${this.instance}`, 'ping');
    this.live ??= connection.subscribe(subject, { callback: (error, m) => void (error ?? m.respond()) });
    await connection.request(subject, '', { timeout: timeoutMs });
  }
  private readonly instance = Math.random().toString(36).slice(2);

  on<E extends string>(_event: E, _callback: never): never {
    throw new Error('RequestServer has no events');
  }
  unwrap<T>(): T {
    return this.options.connection as T;
  }

  private subscribe(subject: string, queue: string, callback: (m: Msg) => void): void {
    this.subscriptions.push(
      this.options.connection.subscribe(subject, {
        queue,
        callback: (error, m) => (error ? this.logger.error(`${subject}: ${error.message}`) : callback(m)),
      }),
    );
  }

  private async onRequest(service: string, m: Msg): Promise<void> {
    const from = parseRequestSubject(m.subject);
    // What comes from an admitted caller has a well-formed subject and, across the account import, a reply of the broker's own making. A stream
    // message that a consumer delivers onto a request subject has another: it is nobody's request.
    if (!from || !m.reply?.startsWith(importedReply)) return;
    const started = performance.now();
    let name = `${service}.?`;
    let code: ErrorCode | 'OK' = 'OK';
    try {
      if (this.inFlight >= (this.options.maxInFlight ?? 4_096)) {
        code = 'ERR_OVERLOADED';
        this.reply(m, { problem: problem(code) });
        return;
      }
      this.inFlight++;
      const operation = this.operations.clients.get(`${service}.${from.verb}`);
      if (operation) name = operation.name;
      let request: RequestContext = { ...from, subject: m.subject, trace: context.active() };
      try {
        const parent = extractTrace(callerTraceHeaders(m));
        const traceId = trace.getSpanContext(parent)?.traceId;
        request = { ...request, trace: parent, ...(traceId ? { traceId } : {}) };
        const handler = this.handlerOf(operation, service, from.verb);
        const body = readBody(m.data);
        if (isPackedBody(operation as Operation, body)) await this.admitted(request, operation as Operation);
        const { input, ...about } = prepared(operation as Operation, body);
        request = { ...request, ...about };
        await this.answer(m, request, operation as Operation, handler, input);
      } catch (error) {
        const refusal = await this.recorded(request, operation, this.toProblem(name, error));
        code = refusal.error.code;
        this.reply(m, { problem: refusal.error.toProblem(request.requestId), ...(refusal.receipt ? { receipt: refusal.receipt } : {}) });
      } finally {
        this.done();
      }
    } catch (error) {
      this.logger.error(`${name}: the reply could not be sent: ${String(error)}`);
    } finally {
      this.observe(name, code, (performance.now() - started) / 1_000);
    }
  }

  private handlerOf(operation: Operation | undefined, service: string, verb: string): (...args: never[]) => unknown {
    const handler = operation && this.routes.get(operation.name);
    if (!handler) throw new ProblemError('ERR_UNKNOWN_OPERATION', `${service} has no operation ${verb.slice(0, 64)}`);
    return handler;
  }

  private async admitted(request: RequestContext, operation: Operation): Promise<void> {
    const { admitPacked } = this.options;
    if (!admitPacked) throw new ProblemError('ERR_MALFORMED_REQUEST', 'Nothing packed is taken here.');
    try {
      await admitPacked(request, operation);
    } catch (error) {
      throw new Reached(error);
    }
  }

  private async answer(
    m: Msg,
    request: RequestContext,
    { name, packs }: Operation,
    handler: (...args: never[]) => unknown,
    input: unknown,
  ): Promise<void> {
    const { span, active } = startSpan(`${name} process`, SpanKind.SERVER, request.trace, { 'messaging.destination.name': name });
    try {
      const answer = await call(handler, input, { ...request, trace: active });
      this.reply(m, packs ? packedAnswer(answer, packs) : answer);
      endSpan(span);
    } catch (error) {
      endSpan(span, error);
      throw new Reached(error);
    }
  }

  private async onInternal(service: string, m: Msg): Promise<void> {
    // Services ask from their own inboxes; a consumer's delivery does not.
    if (!m.reply?.startsWith(serviceInboxes)) return;
    this.inFlight++;
    const name = `${service}.${m.subject.slice(m.subject.lastIndexOf('.') + 1)}`;
    try {
      const operation = this.operations.services.get(name);
      const handler = operation && this.routes.get(name);
      if (!operation || !handler) throw new ProblemError('ERR_UNKNOWN_OPERATION', name);
      const { span, active } = startSpan(`${name} process`, SpanKind.SERVER, extractTrace(m.headers));
      try {
        this.reply(m, await call(handler, parseInput(operation, m.data), { trace: active }));
        endSpan(span);
      } catch (error) {
        endSpan(span, error);
        throw error;
      }
    } catch (error) {
      try {
        this.reply(m, { problem: this.toProblem(name, error).error.toProblem() });
      } catch (failure) {
        this.logger.error(`${name}: the reply could not be sent: ${String(failure)}`);
      }
    } finally {
      this.done();
    }
  }

  private reply(m: Msg, body: object): void {
    m.respond(JSON.stringify(body));
  }

  private done(): void {
    this.inFlight--;
    if (this.inFlight === 0) this.idle?.();
  }

  /** What never reached its handler is recorded here. No record, no answer: when it cannot be, that is what the caller hears. */
  private async recorded(request: RequestContext, operation: Operation | undefined, refusal: Refused): Promise<Refused> {
    if (refusal.reached) return refusal;
    try {
      const receipt = await this.recordRefusal(request, operation, refusal.error);
      return receipt ? { ...refusal, receipt } : refusal;
    } catch (error) {
      return {
        ...refusal,
        error: error instanceof ProblemError ? error : new ProblemError('ERR_AUDIT_UNAVAILABLE', undefined, { cause: error }),
      };
    }
  }

  /** The cause goes to the log here, and nowhere else. */
  private toProblem(name: string, thrown: unknown): Refused {
    const reached = thrown instanceof Reached;
    const error = reached ? thrown.cause : thrown;
    if (error instanceof RecordedProblem) return { ...this.toProblem(name, error.problem), reached, receipt: error.receipt };
    if (error instanceof ProblemError) {
      const { cause } = error;
      if (error.code === 'ERR_INTERNAL') this.logger.error(`${name} failed`, cause instanceof Error ? cause.stack : String(cause));
      else if (cause !== undefined) this.logger.warn(`${name}: ${error.message}: ${String(cause)}`);
      return { error, reached };
    }
    this.logger.error(`${name} failed`, error instanceof Error ? error.stack : String(error));
    return { error: new ProblemError('ERR_INTERNAL'), reached };
  }
}

function prepared(operation: Operation, body: unknown) {
  const input = parseBody(operation, body) as { requestId?: string };
  const { requestId } = input;
  return { input, ...(requestId ? { requestId } : {}), ...(operation.changeable ? commandOf(operation, input) : {}) };
}

/** What a change request is compared with. Handlers hear nothing of the change itself. */
function commandOf(
  { name }: Operation,
  request: { type?: unknown; requestId?: string; change?: string },
): Pick<RequestContext, 'change' | 'command'> {
  const { type: _, requestId: __, change, ...input } = request;
  delete request.change;
  return { command: { operation: name, input }, ...(change === undefined ? {} : { change }) };
}

interface Refused {
  error: ProblemError;
  /** The handler was reached: it has recorded the outcome itself. */
  reached: boolean;
  receipt?: Receipt;
}

/** A problem whose record is durable: carries the receipt to the reply. */
export class RecordedProblem extends Error {
  constructor(
    readonly problem: ProblemError,
    readonly receipt: Receipt,
  ) {
    super(problem.message);
  }
}

/** Thrown by a handler, or by what admits to it: the outcome is recorded. */
class Reached extends Error {
  constructor(cause: unknown) {
    super('refused or failed', { cause });
  }
}

const byName = (services: Record<string, Readonly<Record<string, Operation>>>): Map<string, Operation> =>
  new Map(Object.values(services).flatMap((operations) => Object.values(operations).map((operation) => [operation.name, operation])));

async function call(handler: (...args: never[]) => unknown, input: unknown, request: Partial<RequestContext>): Promise<Answer> {
  const outcome = await (handler as (input: unknown, request: unknown) => unknown)(input, request);
  return (isObservable(outcome) ? await lastValueFrom(outcome) : outcome) as Answer;
}

/** What is long in a result travels packed. @throws PackedError */
const packedAnswer = (answer: object, packs: readonly string[]): object =>
  'result' in answer ? { ...answer, result: packFields(answer.result as Record<string, unknown>, packs) } : answer;
