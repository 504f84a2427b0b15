import { ProblemError } from '@claviger/contracts';
import { StoreSilent } from '@claviger/operability';
import { type MongoClient, MongoError } from 'mongodb';

/** What the document store answers. Throws ERR_STORE_UNAVAILABLE when it does not, or fails in another way than is `expected`. */
export async function storeAnswer<T>(
  client: MongoClient,
  ask: () => Promise<T>,
  expected: (error: unknown) => boolean = () => false,
): Promise<T> {
  try {
    // A client whose first connection failed stays closed until it is told to connect; for a connected one this does nothing.
    await client.connect();
    return await ask();
  } catch (cause) {
    if (cause instanceof StoreSilent || (cause instanceof MongoError && !expected(cause)))
      throw new ProblemError('ERR_STORE_UNAVAILABLE', undefined, { cause });
    throw cause;
  }
}
