import {
  accessLifecycleOperations,
  accessOperations,
  alertOperations,
  auditOperations,
  backupOperations,
  changeOperations,
  cryptoOperations,
  elevationOperations,
  explainOperations,
  exportOperations,
  guardOperations,
  type Input,
  importOperations,
  keyBatchOperations,
  keyOperations,
  type Operation,
  policyOperations,
  quotaOperations,
  type Receipt,
  type Result,
  reportOperations,
  reviewOperations,
} from '@claviger/contracts';
import type { ByteField } from './byte-fields';
import type { CallOptions } from './caller';

const { show, publish, ...access } = policyOperations;

/** The contract's operations, by service; the client's methods are made from this table, at run time and in their types. */
export const operations = {
  crypto: cryptoOperations,
  backup: backupOperations,
  keys: { ...keyOperations, ...keyBatchOperations, ...importOperations, ...exportOperations },
  policy: { show, publish, ...explainOperations, ...guardOperations, ...quotaOperations },
  access: { ...access, ...accessOperations, ...accessLifecycleOperations, ...reviewOperations, ...elevationOperations },
  changes: changeOperations,
  audit: { ...auditOperations, ...reportOperations },
  alerts: alertOperations,
} as const satisfies Record<string, Record<string, Operation>>;

/** Byte strings travel as base64url and are `Uint8Array` here, in the items and results of a batch as well. */
type WithBytes<T> = T extends unknown
  ? { [K in keyof T]: K extends ByteField ? Bytes<T[K]> : K extends Nested ? Inner<T[K]> : T[K] }
  : never;
type Nested = 'items' | 'results' | 'result' | 'recipient';
type Bytes<V> = V extends string ? Uint8Array : V;
type Inner<V> = V extends readonly (infer E)[] ? WithBytes<E>[] : V extends object ? WithBytes<V> : V;

export type CallInput<O extends Operation> = WithBytes<Input<O>>;
/** The result, and where the record of the operation lies (absent only for operations that are not recorded). */
export type Outcome<O extends Operation> = WithBytes<Result<O>> & { readonly receipt?: Receipt };

type Call<O extends Operation> =
  Record<never, never> extends CallInput<O>
    ? (input?: CallInput<O>, options?: CallOptions) => Promise<Outcome<O>>
    : (input: CallInput<O>, options?: CallOptions) => Promise<Outcome<O>>;

type Table = typeof operations;
export type Operations = {
  readonly [S in keyof Table]: { readonly [V in keyof Table[S]]: Table[S][V] extends Operation ? Call<Table[S][V]> : never };
};

type Perform = (operation: Operation, input: Record<string, unknown>, options?: CallOptions) => Promise<unknown>;

export function bindOperations(perform: Perform): Operations {
  const services = Object.entries<Record<string, Operation>>(operations).map(([service, table]) => {
    const calls = Object.entries(table).map(([verb, operation]) => [
      verb,
      (input: Record<string, unknown> = {}, options?: CallOptions) => perform(operation, input, options),
    ]);
    return [service, Object.fromEntries(calls)];
  });
  return Object.fromEntries(services) as Operations;
}
