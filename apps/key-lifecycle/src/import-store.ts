import { ProblemError } from '@claviger/contracts';
import type { Collection, Db } from 'mongodb';
import type { ImportParameters } from './import-parameters';
import { reached } from './key-store';
import { type SignedDocuments, TamperedDocument } from './signed-documents';

interface ImportDocument {
  /** Id of the key: a key has one set of parameters, the newest. */
  _id: string;
  /** When it may be swept; what is signed says when it is no longer good. */
  expiresAt: string;
  signed: string;
}

export interface StoredImport {
  parameters: ImportParameters;
  signed: string;
}

/** Import parameters, beside the keys: no worker needs them, and they come and go without a change of the key. */
export class ImportStore {
  private readonly imports: Collection<ImportDocument>;

  constructor(
    db: Db,
    private readonly documents: SignedDocuments,
    private readonly onTampered: (keyId: string, reason: string) => void,
  ) {
    this.imports = db.collection('imports');
  }

  /** In place of those that were there. */
  async put(parameters: ImportParameters): Promise<void> {
    const { keyId, expiresAt } = parameters;
    const fields = { expiresAt, signed: this.documents.signImport(parameters) };
    await reached(() => this.imports.updateOne({ _id: keyId }, { $set: fields }, { upsert: true }));
  }

  /** Throws ERR_IMPORT_PARAMETERS for a document that somebody else wrote: it is told, and new ones put it right. */
  async get(keyId: string): Promise<StoredImport | undefined> {
    const found = await reached(() => this.imports.findOne({ _id: keyId }));
    if (!found) return undefined;
    try {
      return { parameters: this.documents.readImport(keyId, found.signed), signed: found.signed };
    } catch (error) {
      if (!(error instanceof TamperedDocument)) throw error;
      this.onTampered(keyId, `import parameters: ${String(error.cause)}`);
      throw new ProblemError('ERR_IMPORT_PARAMETERS', 'The import parameters of this key were tampered with: ask for new ones.');
    }
  }

  /** False when somebody else changed them since they were read. */
  async change(from: StoredImport, to: ImportParameters): Promise<boolean> {
    const change = { $set: { signed: this.documents.signImport(to) } };
    const { matchedCount } = await reached(() => this.imports.updateOne({ _id: to.keyId, signed: from.signed }, change));
    return matchedCount === 1;
  }

  /** The private half is gone then. Does nothing when newer ones have taken their place. */
  async remove({ keyId, importId }: Pick<ImportParameters, 'keyId' | 'importId'>): Promise<void> {
    const found = await this.get(keyId);
    if (found?.parameters.importId === importId) await reached(() => this.imports.deleteOne({ _id: keyId, signed: found.signed }));
  }

  /** How many had expired. */
  async sweep(nowMs: number): Promise<number> {
    const { deletedCount } = await reached(() => this.imports.deleteMany({ expiresAt: { $lte: new Date(nowMs).toISOString() } }));
    return deletedCount;
  }
}
