import { keyOperations } from './key-operations';
import { limits } from './limits';
import { defineBatch } from './operation';

const bytesOf = (items: readonly unknown[]): number => new TextEncoder().encode(JSON.stringify(items)).length;

/** Many keys with one request. */
export const keyBatchOperations = {
  createBatch: defineBatch(keyOperations.create, {
    fits: (items) => bytesOf(items) <= limits.createBatchBytes,
    otherwise: `items of more than ${limits.createBatchBytes} bytes in all`,
  }),
} as const;
