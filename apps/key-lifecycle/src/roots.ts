import { ProblemError } from '@claviger/contracts';
import type { OwedPage, OwedRecord, OwedRecordSource } from '@claviger/service';
import { type Collection, type Db, MongoServerError } from 'mongodb';
import { reached } from './key-store';
import { allRoots, currentRoot, firstRoot, nameOf, type Root, type RootName } from './root';
import type { SignedDocuments } from './signed-documents';

interface RootDocument {
  _id: string;
  signed: string;
  owed?: OwedRecord[];
}

/** The roots, one signed document each. Until there is a second one, nothing is stored. */
export class Roots implements OwedRecordSource {
  private readonly roots: Collection<RootDocument>;

  constructor(
    db: Db,
    private readonly documents: SignedDocuments,
  ) {
    this.roots = db.collection('roots');
  }

  /** Throws TamperedDocument. */
  async all(): Promise<Root[]> {
    return allRoots((await this.stored()).map(({ _id, signed }) => this.documents.readRoot(_id, signed)));
  }

  /** The root that new KEKs are wrapped under; undefined while there is but one. */
  async current(): Promise<RootName | undefined> {
    const roots = await this.all();
    return roots.length === 1 ? undefined : nameOf(currentRoot(roots));
  }

  /** Does nothing when it is there. */
  async insert(root: Root): Promise<void> {
    try {
      await reached(() => this.roots.insertOne({ _id: root.label, signed: this.documents.signRoot(root) }));
    } catch (error) {
      if (!(error instanceof MongoServerError && error.code === 11000)) throw error;
    }
  }

  /** Decides on the root as it is now, and again when somebody else was first. */
  async change(label: string, decide: (root: Root) => Root, owe?: (root: Root) => OwedRecord): Promise<Root> {
    if (label === firstRoot.label) await this.insert(firstRoot);
    for (;;) {
      const found = await reached(() => this.roots.findOne({ _id: label }));
      if (!found) throw new ProblemError('ERR_NOT_FOUND', `There is no root ${label}.`);
      const from = this.documents.readRoot(label, found.signed);
      const to = decide(from);
      if (to === from) return from;
      const promised = owe ? { $push: { owed: owe(to) } } : {};
      const { matchedCount } = await reached(() =>
        this.roots.updateOne({ _id: label, signed: found.signed }, { $set: { signed: this.documents.signRoot(to) }, ...promised }),
      );
      if (matchedCount === 1) return to;
    }
  }

  async owed(limit: number, after = ''): Promise<OwedPage> {
    const found = await reached(() =>
      this.roots
        .find({ _id: { $gt: after }, 'owed.0': { $exists: true } })
        .sort({ _id: 1 })
        .limit(limit)
        .toArray(),
    );
    const next = found.length === limit ? found.at(-1)?._id : undefined;
    return { items: found.map(({ _id, owed = [] }) => ({ aggregateId: _id, entries: owed })), next };
  }

  async removeOwed(label: string, ids: string[]): Promise<void> {
    await reached(() => this.roots.updateOne({ _id: label }, { $pull: { owed: { id: { $in: ids } } } }));
  }

  private stored(): Promise<RootDocument[]> {
    return reached(() => this.roots.find().toArray());
  }
}
