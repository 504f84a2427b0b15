import type { AliasInBackup } from '@claviger/contracts';
import type { Collection, Db } from 'mongodb';
import type { AliasDocument } from './alias-store';
import type { Key } from './key';
import { type KeyDocument, reached } from './key-store';
import { type SignedDocuments, TamperedDocument } from './signed-documents';

/** A key as it is stored, and what it says. */
export interface StoredKey {
  key: Key;
  revision: number;
  signed: string;
  invocations: string;
}
export interface StoredPage {
  keys: StoredKey[];
  /** Documents that somebody else wrote. */
  tampered: string[];
  next: string | undefined;
}

const pageSize = 100;

/** Reads all keys by their ids, the signed documents as they are. */
export class BackupSource {
  private readonly keys: Collection<KeyDocument>;
  private readonly aliases: Collection<AliasDocument>;

  constructor(
    db: Db,
    private readonly documents: SignedDocuments,
  ) {
    this.keys = db.collection('keys');
    this.aliases = db.collection('aliases');
  }

  async page(after: string | undefined): Promise<StoredPage> {
    const found = await reached(() =>
      this.keys
        .find(after === undefined ? {} : { _id: { $gt: after } }, { projection: { revision: 1, signed: 1, invocations: 1 } })
        .sort({ _id: 1 })
        .limit(pageSize)
        .toArray(),
    );
    const keys: StoredKey[] = [];
    const tampered: string[] = [];
    for (const { _id, revision, signed, invocations } of found)
      try {
        keys.push({ key: this.documents.readKey(_id, revision, signed), revision, signed, invocations });
      } catch (error) {
        if (!(error instanceof TamperedDocument)) throw error;
        tampered.push(_id);
      }
    return { keys, tampered, next: found.length === pageSize ? found.at(-1)?._id : undefined };
  }

  /** Aliases by name, also those that are deleted. */
  async aliasPage(after: string | undefined): Promise<{ aliases: AliasInBackup[]; tampered: string[]; next: string | undefined }> {
    const found = await reached(() =>
      this.aliases
        .find(after === undefined ? {} : { _id: { $gt: after } }, { projection: { revision: 1, signed: 1 } })
        .sort({ _id: 1 })
        .limit(pageSize)
        .toArray(),
    );
    const aliases: AliasInBackup[] = [];
    const tampered: string[] = [];
    for (const { _id: alias, revision, signed } of found)
      try {
        this.documents.readAlias(alias, revision, signed);
        aliases.push({ alias, revision, signed });
      } catch (error) {
        if (!(error instanceof TamperedDocument)) throw error;
        tampered.push(alias);
      }
    return { aliases, tampered, next: found.length === pageSize ? found.at(-1)?._id : undefined };
  }

  /** The counts of encryptions of these keys as they are now. */
  async invocationsOf(keyIds: readonly string[]): Promise<Map<string, string>> {
    const found = await reached(() => this.keys.find({ _id: { $in: [...keyIds] } }, { projection: { invocations: 1 } }).toArray());
    return new Map(found.map(({ _id, invocations }) => [_id, invocations]));
  }

  /** Whether a change up to then has no record in the ledger yet, as far as is known. */
  async owesRecords(until: string): Promise<boolean> {
    const owing = { pending: true, owed: { $elemMatch: { at: { $lte: until } } } };
    return (await reached(() => this.keys.findOne(owing, { projection: { _id: 1 } }))) !== null;
  }

  async isEmpty(): Promise<boolean> {
    return (await reached(() => this.keys.findOne({}, { projection: { _id: 1 } }))) === null;
  }
}
