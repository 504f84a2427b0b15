import { Gathering, type Outcome, shortly } from '@claviger/messaging';
import { type Collection, MongoBulkWriteError, MongoServerError } from 'mongodb';
import type { KeyDocument } from './key-store';

/** Documents of one write: about 500 kB. */
const documentsPerWrite = 100;

/**
 * Inserts documents; those that are to be inserted side by side with one write. It is not ordered: one whose name is taken leaves the others as they are.
 * Each document is there as a whole or not at all, whenever the process or the store ends.
 */
export class KeyInserts {
  private readonly gathering: Gathering<KeyDocument, void>;

  /** `reached` says what a store that does not answer means. */
  constructor(keys: Collection<KeyDocument>, reached: <T>(call: () => Promise<T>) => Promise<T>) {
    this.gathering = new Gathering(
      documentsPerWrite,
      async (documents) => {
        if (documents.length > 1) return reached(() => insertMany(keys, documents));
        await reached(() => keys.insertOne(documents[0] as KeyDocument));
        return [{ value: undefined }];
      },
      shortly,
    );
  }

  /** @throws MongoError with code 11000 when its name is taken, and what the store fails with */
  insert(document: KeyDocument): Promise<void> {
    return this.gathering.ask(document);
  }
}

async function insertMany(keys: Collection<KeyDocument>, documents: KeyDocument[]): Promise<readonly Outcome<void>[]> {
  try {
    await keys.insertMany(documents, { ordered: false });
    return documents.map(() => ({ value: undefined }));
  } catch (error) {
    if (!(error instanceof MongoBulkWriteError)) throw error;
    const refused = new Map(
      [error.writeErrors].flat().map(({ index, code, errmsg }) => [index, new MongoServerError({ code, message: errmsg ?? 'refused' })]),
    );
    // An error of the connection, or of the durability of all of them, comes without one for each: then nothing is known of any.
    if (refused.size === 0 || error.insertedCount + refused.size !== documents.length) throw error;
    return documents.map((_, i) => (refused.has(i) ? { error: refused.get(i) } : { value: undefined }));
  }
}
