import { type Collection, type Db, MongoServerError } from 'mongodb';
import { reached } from './key-store';
import type { SignedDocuments } from './signed-documents';
import { TamperedDocument } from './signed-documents';
import { nothingToldOf, type ToldOfToken } from './token-tale';

interface TokenDocument {
  _id: string;
  signed: string;
}
export interface StoredTold {
  told: ToldOfToken;
  /** As it stands there: what the next change is compared with. */
  signed: string | undefined;
}

/** What was told of each token, one signed document a label, changed by one compare-and-set on what is signed: of several replicas one tells each thing. */
export class TokenTales {
  private readonly tokens: Collection<TokenDocument>;

  constructor(
    db: Db,
    private readonly documents: SignedDocuments,
    private readonly onTampered: (id: string, reason: string) => void,
  ) {
    this.tokens = db.collection('tokens');
  }

  /** Of what somebody else wrote there nothing counts as told: it is told again, which harms less than silence. */
  async of(label: string): Promise<StoredTold> {
    const found = await reached(() => this.tokens.findOne({ _id: label }));
    if (!found) return { told: nothingToldOf(label), signed: undefined };
    try {
      return { told: this.documents.readToldOfToken(label, found.signed), signed: found.signed };
    } catch (error) {
      if (!(error instanceof TamperedDocument)) throw error;
      this.onTampered(`token ${label}`, String(error.cause));
      return { told: nothingToldOf(label), signed: found.signed };
    }
  }

  /** What is stored now; undefined when another replica was first. */
  async change({ signed: before }: StoredTold, told: ToldOfToken): Promise<StoredTold | undefined> {
    const signed = this.documents.signToldOfToken(told);
    if (before === undefined) {
      try {
        await reached(() => this.tokens.insertOne({ _id: told.label, signed }));
        return { told, signed };
      } catch (error) {
        if (error instanceof MongoServerError && error.code === 11000) return undefined;
        throw error;
      }
    }
    const { matchedCount } = await reached(() => this.tokens.updateOne({ _id: told.label, signed: before }, { $set: { signed } }));
    return matchedCount === 1 ? { told, signed } : undefined;
  }
}
