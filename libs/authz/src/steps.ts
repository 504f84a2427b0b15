import type { AuthorizationAnswer, CheckParseAnswer } from '@cedar-policy/cedar-wasm/nodejs';
import { isPacked, Packed, PackedError, unpacked } from '@claviger/contracts';
import { cedar } from './cedar';
import type { CedarRequest } from './cedar-request';

/** A long document that was packed, without its long lists; those are taken in pieces. */
export interface Unpacked {
  readonly id: number;
  readonly document: unknown;
  /** Lists that are to be taken, by name: how long they are. */
  readonly lists: Readonly<Record<string, number>>;
}

/** One for each request, or why the schema cannot be read. */
export type ProbeAnswers = AuthorizationAnswer[] | Extract<CheckParseAnswer, { type: 'failure' }>;

/** What may be done in another thread: arguments and answers can be copied. */
export interface Calls {
  splitPolicies: typeof cedar.splitPolicies;
  policyToJson: typeof cedar.policyToJson;
  schemaToJson: typeof cedar.schemaToJson;
  validate: typeof cedar.validate;
  /** Requests of no session, put to a policy that permits everything: whether the schema can express them. In one call, since what Cedar holds for it has one name. */
  probe: (schema: string, requests: readonly CedarRequest[]) => ProbeAnswers;
  /** Inflates and parses. Throws when it is not what it says. */
  unpack: (packed: Packed) => Unpacked;
  take: (id: number, list: string, from: number, to: number) => unknown[];
}
export type CallName = keyof Calls;

/** One call for each list of arguments; the answers come in the same order. Undefined: a moment at which others may have their turn. */
export type Step = { readonly name: CallName; readonly calls: readonly (readonly unknown[])[] } | undefined;

/** Work in small steps, that says what it wants done instead of doing it: so the same work is done at once, or beside the requests of a service. */
export type Work<T> = Generator<Step, T, unknown>;

/** As part of some work: the answers, in the order of `calls`. */
export function* call<N extends CallName>(name: N, calls: readonly Parameters<Calls[N]>[]): Work<ReturnType<Calls[N]>[]> {
  return calls.length === 0 ? [] : ((yield { name, calls }) as ReturnType<Calls[N]>[]);
}

/** One by one, with room for others after every `every` of them. */
export function* each<T>(items: readonly T[], every: number, take: (item: T, index: number) => void): Work<void> {
  for (let index = 0; index < items.length; index++) {
    take(items[index] as T, index);
    if (index % every === every - 1) yield undefined;
  }
}

const taken = 250;

/** What was packed, or what was not, as it is. @throws PackedError */
export function* opened(input: unknown): Work<unknown> {
  if (!isPacked(input)) return input;
  const packed = Packed.safeParse(input);
  if (!packed.success) throw new PackedError('not a packed document within its limits');
  const [{ id, document, lists }] = (yield* call('unpack', [[packed.data]])) as [Unpacked];
  const whole = document as Record<string, unknown>;
  for (const [list, length] of Object.entries(lists)) {
    const items: unknown[] = [];
    for (let from = 0; from < length; from += taken)
      for (const part of yield* call('take', [[id, list, from, Math.min(length, from + taken)]])) items.push(...part);
    whole[list] = items;
  }
  return whole;
}

const probe: Calls['probe'] = (schema, requests) => {
  const slot = 'claviger.probe';
  const held = cedar.preparseSchema(slot, schema);
  if (held.type === 'failure') return held;
  cedar.preparsePolicies(slot, { staticPolicies: { probe: 'permit (principal, action, resource);' } });
  return requests.map((request) =>
    cedar.authorize({ ...request, preparsedPolicySetId: slot, preparsedSchemaName: slot, validateRequest: true }),
  );
};

const here: Calls = {
  ...cedar,
  probe,
  unpack: (packed) => ({ id: 0, document: unpacked(packed), lists: {} }),
  take: () => [],
};

/** To its end, without a pause. */
export function atOnce<T>(work: Work<T>): T {
  let next = work.next();
  while (!next.done) {
    const step = next.value;
    let answers: unknown;
    try {
      answers = step?.calls.map((args) => (here[step.name] as (...args: unknown[]) => unknown)(...args));
    } catch (error) {
      next = work.throw(error);
      continue;
    }
    next = work.next(answers);
  }
  return next.value;
}

export interface Elsewhere {
  /** The answers to these calls. Rejects when there are none. */
  call(name: CallName, calls: readonly (readonly unknown[])[]): Promise<unknown[]>;
}

/** So long this thread is kept at most before others have their turn, if no single step takes longer. */
const turnMs = 2;

/** To its end beside other work: what takes long is done elsewhere. */
export async function beside<T>(work: Work<T>, elsewhere: Elsewhere): Promise<T> {
  let began = performance.now();
  let next = work.next();
  while (!next.done) {
    const step = next.value;
    if (!step && performance.now() - began < turnMs) {
      next = work.next();
      continue;
    }
    const asked = step ? elsewhere.call(step.name, step.calls) : Promise.resolve(undefined);
    const outcome = await asked.then(
      (answers) => ({ answers }),
      (error: unknown) => ({ error }),
    );
    // Also after an answer: several that arrive together are no single turn.
    await new Promise((resolve) => setImmediate(resolve));
    began = performance.now();
    next = 'error' in outcome ? work.throw(outcome.error) : work.next(outcome.answers);
  }
  return next.value;
}
