import { type KekView, ProblemError } from '@claviger/contracts';
import { TamperedDocuments } from '@claviger/service';
import { type Collection, type Db, MongoServerError } from 'mongodb';
import { type Kek, kekIdOf, type Pair } from './kek';
import { reached } from './key-store';
import { type SignedDocuments, TamperedDocument } from './signed-documents';
import { tellTampering } from './tell-tampering';

interface KekDocument {
  _id: string;
  signed: string;
}

/** KEKs, one signed document each, changed by one compare-and-set on what is signed. There are few: some for each environment and classification. */
export class KekStore {
  private readonly keks: Collection<KekDocument>;
  private readonly tampered: TamperedDocuments;

  constructor(
    db: Db,
    private readonly documents: SignedDocuments,
    onTampered: (id: string, reason: string) => void,
    /** KEKs that the workers have. */
    private readonly delivered: () => Iterable<Pick<KekView, 'kekId' | 'revision'>> = () => [],
  ) {
    this.keks = db.collection('keks');
    this.tampered = new TamperedDocuments(onTampered);
  }

  /**
   * All generations of one environment and classification, the oldest first. Throws TamperedDocument when one is missing that the workers have: without
   * it an older one would pass for the newest, or a new one be made under its name.
   */
  async ofPair(pair: Pair): Promise<Kek[]> {
    const first = kekIdOf(pair, 1);
    const prefix = first.slice(0, -1);
    const delivered: [string, number][] = [];
    // Asked first: what is delivered while the store is read is no proof against what was read.
    for (let generation = 1; ; generation++) {
      const kekId = kekIdOf(pair, generation);
      const revision = this.documents.delivered(kekId);
      if (revision === undefined) break;
      delivered.push([kekId, revision]);
    }
    const found = await reached(() => this.keks.find({ _id: { $gte: prefix, $lt: `${prefix}~` } }).toArray());
    const keks = found.map((document) => this.read(document));
    for (const [kekId, revision] of delivered)
      this.notOlder(
        kekId,
        keks.find((one) => one.kekId === kekId),
        revision,
      );
    return keks.sort((a, b) => a.kekId.length - b.kekId.length || (a.kekId < b.kekId ? -1 : 1));
  }

  async get(kekId: string): Promise<Kek | undefined> {
    const delivered = this.documents.delivered(kekId);
    const found = await reached(() => this.keks.findOne({ _id: kekId }));
    const kek = found ? this.read(found) : undefined;
    return this.notOlder(kekId, kek, delivered);
  }

  /** The KEK that is stored under this id: the given one, or that of whoever was first. */
  async claim(kek: Kek): Promise<Kek> {
    try {
      await reached(() => this.keks.insertOne({ _id: kek.kekId, signed: this.documents.signKek(kek) }));
      return kek;
    } catch (error) {
      if (!(error instanceof MongoServerError && error.code === 11000)) throw error;
      const first = await this.get(kek.kekId);
      if (!first) throw new ProblemError('ERR_CONFLICT');
      return first;
    }
  }

  /** Decides on the KEK as it is now, and again when somebody else was first. Gives what is stored then; one that is given back unchanged is not written. */
  async change(kekId: string, decide: (kek: Kek) => Kek): Promise<Kek> {
    for (;;) {
      const delivered = this.documents.delivered(kekId);
      const found = await reached(() => this.keks.findOne({ _id: kekId }));
      if (!found) throw new ProblemError('ERR_NOT_FOUND', `There is no KEK ${kekId}.`);
      const from = this.notOlder(kekId, this.read(found), delivered) as Kek;
      const to = decide(from);
      if (to === from) return from;
      const { matchedCount } = await reached(() =>
        this.keks.updateOne({ _id: kekId, signed: found.signed }, { $set: { signed: this.documents.signKek(to) } }),
      );
      if (matchedCount === 1) return to;
    }
  }

  /** Throws TamperedDocument, also when one is missing, or older, that the workers have: what is under it would be under nothing. */
  async all(): Promise<Kek[]> {
    // Asked first, as above.
    const delivered = [...this.delivered()].map(({ kekId, revision }) => ({ kekId, revision }));
    const keks = await this.stored();
    const byId = new Map(keks.map((kek) => [kek.kekId, kek]));
    for (const { kekId, revision } of delivered) this.notOlder(kekId, byId.get(kekId), revision);
    return keks;
  }

  /** What the store has, whatever the workers have. Throws TamperedDocument. */
  async stored(): Promise<Kek[]> {
    return (await reached(() => this.keks.find().sort({ _id: 1 }).toArray())).map((document) => this.read(document));
  }

  /** As `all`, but tampered ones are passed over, as in a list of keys. */
  async list(): Promise<Kek[]> {
    const found = await reached(() => this.keks.find().sort({ _id: 1 }).toArray());
    return found.flatMap((document) => {
      try {
        return [this.read(document)];
      } catch (error) {
        if (error instanceof TamperedDocument) return [];
        throw error;
      }
    });
  }

  private read({ _id, signed }: KekDocument): Kek {
    return tellTampering(this.tampered, _id, () => this.documents.readKek(_id, signed));
  }

  private notOlder(kekId: string, kek: Kek | undefined, delivered: number | undefined): Kek | undefined {
    return tellTampering(this.tampered, kekId, () => {
      if (delivered !== undefined && (kek?.revision ?? 0) < delivered)
        throw new TamperedDocument(kekId, kek ? `it is at revision ${kek.revision}, the bucket at ${delivered}` : 'it is gone');
      return kek;
    });
  }
}
