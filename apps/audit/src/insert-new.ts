import { givenUpAfter } from '@claviger/operability';
import { type Collection, type Document, MongoBulkWriteError, type OptionalUnlessRequiredId } from 'mongodb';

export const duplicateKey = 11_000;

/**
 * Inserts the documents whose `_id` is not there yet. @returns those that were there
 * @throws when one of the others may not be written: an error of the connection comes without a failure for any document
 */
export async function insertNew<T extends Document>(collection: Collection<T>, documents: readonly T[]): Promise<T[]> {
  if (documents.length === 0) return [];
  try {
    await givenUpAfter(collection.insertMany(documents as OptionalUnlessRequiredId<T>[], { ordered: false }));
    return [];
  } catch (error) {
    if (!(error instanceof MongoBulkWriteError)) throw error;
    const failures = [error.writeErrors].flat();
    const accounted = error.insertedCount + failures.length === documents.length;
    if (failures.length === 0 || !accounted || failures.some(({ code }) => code !== duplicateKey)) throw error;
    return failures.map(({ index }) => documents[index] as T);
  }
}
