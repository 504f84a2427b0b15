import { z } from 'zod';
import { ChangeId } from './changes';
import { type Problem, ProblemSchema } from './errors';
import { limits } from './limits';
import { Receipt } from './primitives';

export const requestType = 'claviger.request/1';
/** Fields that every request has. The literal `type` is what keeps a reply or an event from ever being taken for a request. */
const envelope = {
  type: z.literal(requestType),
  requestId: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/)
    .optional(),
};
/** The services that can do an operation by a change request, once others approved it: `change` names it. */
const changeableServices: ReadonlySet<string> = new Set(['keys', 'backup', 'policy', 'access']);

export interface Operation<In extends z.ZodType = z.ZodType, Out extends z.ZodType = z.ZodType> {
  /** `crypto.encrypt`: the last two tokens of the subject. */
  readonly name: string;
  readonly service: string;
  readonly verb: string;
  /** What policy calls it, for example `crypto:Encrypt`. */
  readonly action: string;
  readonly summary: string;
  /** `safe`: sending it twice has the effect of sending it once. */
  readonly retry: 'safe' | 'never';
  /** Fields of request and result that may travel packed (packed.ts): whoever sends packs them where they are long, whoever receives takes both forms. */
  readonly packs?: readonly string[];
  /** The request may name a change request that it was approved by. */
  readonly changeable?: true;
  readonly request: In;
  readonly result: Out;
}

export function defineOperation<S extends z.ZodRawShape, Out extends z.ZodType>(definition: {
  name: string;
  action: string;
  summary: string;
  retry: 'safe' | 'never';
  packs?: readonly string[];
  input: S;
  result: Out;
}) {
  const [service, verb] = definition.name.split('.') as [string, string];
  const { name, action, summary, retry, packs, input, result } = definition;
  const item = z.strictObject(input);
  const changeable = changeableServices.has(service) ? { changeable: true as const } : {};
  const plain = item.extend(envelope);
  // Taken out before a handler gets the request, so that its type does not say it.
  const request = changeable.changeable ? (plain.extend({ change: ChangeId.optional() }) as unknown as typeof plain) : plain;
  return {
    name,
    service,
    verb,
    action,
    summary,
    retry,
    ...(packs ? { packs } : {}),
    ...changeable,
    item,
    request,
    result,
  } satisfies Operation & {
    item: z.ZodType;
  };
}

/** So that the answer, which is a little longer for each item, fits a message as well. */
interface BatchBound {
  fits: (items: readonly Record<string, unknown>[]) => boolean;
  otherwise: string;
}
const dataBound: BatchBound = {
  fits: (items) => {
    const chars = (value: unknown) => (typeof value === 'string' ? value.length : 0);
    return items.reduce((sum, item) => sum + chars(item.plaintext) + chars(item.message) + chars(item.ciphertext), 0) <= limits.batchChars;
  },
  otherwise: `items of more than ${limits.batchChars} characters in all`,
};

/** What a caller passes to the client library: the request without its envelope. */
export type Input<O extends Operation> = Omit<z.input<O['request']>, 'type' | 'requestId'>;
/** One item, as a single request or a batch brings it. */
export type Item<O extends { readonly item: z.ZodType }> = z.output<O['item']>;
/** What a handler receives after validation. */
export type Request<O extends Operation> = z.output<O['request']>;
export type Result<O extends Operation> = z.output<O['result']>;

/** How one item of a batch ended. The record of each is its own. */
export type ItemOutcome<R> = { result: R; receipt?: Receipt } | { problem: Problem; receipt?: Receipt };

/**
 * The same operation for many items in one request, `<name>-batch`. Each item is decided, carried out and recorded as if it had come alone; one that is
 * refused leaves the others as they are. `results` has the order of `items`.
 */
export function defineBatch<S extends z.ZodRawShape, Out extends z.ZodType>(
  one: Pick<Operation, 'name' | 'service' | 'verb' | 'action' | 'summary' | 'retry'> & {
    readonly item: z.ZodObject<S>;
    readonly result: Out;
  },
  { fits, otherwise }: BatchBound = dataBound,
) {
  const { service, action, retry, item, result } = one;
  return {
    name: `${one.name}-batch`,
    service,
    verb: `${one.verb}-batch`,
    action,
    summary: `${one.verb} for up to ${limits.batchItems} items; each has its own result or problem, and its own record.`,
    retry,
    request: z.strictObject({
      ...envelope,
      items: z.array(item).min(1).max(limits.batchItems).refine(fits, otherwise),
    }),
    result: z.strictObject({
      results: z.array(
        z.union([
          z.strictObject({ result, receipt: Receipt.optional() }),
          z.strictObject({ problem: ProblemSchema, receipt: Receipt.optional() }),
        ]),
      ),
    }),
  } satisfies Operation;
}
