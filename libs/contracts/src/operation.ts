import { z } from 'zod';

export const requestType = 'claviger.request/1';
/** Fields that every request has. The literal `type` is what keeps a reply or an event from ever being taken for a request. */
const envelope = {
  type: z.literal(requestType),
  requestId: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/)
    .optional(),
};

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
  readonly request: In;
  readonly result: Out;
}

export function defineOperation<S extends z.ZodRawShape, Out extends z.ZodType>(definition: {
  name: string;
  action: string;
  summary: string;
  retry: 'safe' | 'never';
  input: S;
  result: Out;
}) {
  const [service, verb] = definition.name.split('.') as [string, string];
  const { name, action, summary, retry, input, result } = definition;
  return { name, service, verb, action, summary, retry, request: z.strictObject({ ...envelope, ...input }), result } satisfies Operation;
}

/** What a caller passes to the client library: the request without its envelope. */
export type Input<O extends Operation> = Omit<z.input<O['request']>, 'type' | 'requestId'>;
/** What a handler receives after validation. */
export type Request<O extends Operation> = z.output<O['request']>;
export type Result<O extends Operation> = z.output<O['result']>;
