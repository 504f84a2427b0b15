import type { PersonalValue } from '@claviger/contracts';
import type { Collection, Db } from 'mongodb';
import { insertNew } from './insert-new';

type PersonalDocument = Omit<PersonalValue, 'commitment'> & { readonly _id: string; readonly expiresAt: Date };

/**
 * Clear personal values beside the ledger, whose leaves hold their salted commitments only. Erased after the retention time, or on request;
 * the leaves stay, and with the salt gone nobody can find the value from them.
 */
export class PersonalStore {
  private readonly values: Collection<PersonalDocument>;

  constructor(
    db: Db,
    private readonly retentionDays: number,
    private readonly now: () => Date = () => new Date(),
  ) {
    this.values = db.collection('personal');
  }

  async prepare(): Promise<void> {
    await this.values.createIndex({ expiresAt: 1 }, { expireAfterSeconds: 0 });
  }

  /** Idempotent: the same commitment again is the same value. Gives how many were new. */
  async store(values: readonly PersonalValue[]): Promise<number> {
    const expiresAt = new Date(this.now().getTime() + this.retentionDays * 86_400_000);
    const documents = values.map(({ commitment, ...rest }) => ({ _id: commitment, ...rest, expiresAt }));
    return documents.length - (await insertNew(this.values, documents)).length;
  }

  async find(commitment: string): Promise<PersonalValue | undefined> {
    const document = await this.values.findOne({ _id: commitment, expiresAt: { $gt: this.now() } });
    if (!document) return undefined;
    const { _id, expiresAt: _, ...rest } = document;
    return { commitment: _id, ...rest };
  }

  /** The TTL index does this as well, where the engine runs one; retention must not depend on that. Gives how many were erased. */
  async eraseExpired(): Promise<number> {
    return (await this.values.deleteMany({ expiresAt: { $lte: this.now() } })).deletedCount;
  }
}
