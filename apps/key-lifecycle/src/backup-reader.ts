import { join } from 'node:path';
import { type BackupLine, entriesOf, linesOf, readBackup, type VerifiedBackup, verifyBackup } from '@claviger/backup';
import { AliasInBackup, BundleView, KekInBackup, type KekMaterial, KeyInBackup } from '@claviger/contracts';
import type { KeyAlias } from './alias';
import type { BackupHsm } from './backup-hsm';
import type { Key } from './key';
import type { SignedDocuments } from './signed-documents';

/** A backup whose lines are all in order, to be opened in the token. Each part is read from the file anew: nothing of it is kept. */
export class BackupReader {
  private constructor(
    private readonly path: string,
    private readonly hsm: Pick<BackupHsm, 'open'>,
    /** Of the site that the backup is of. */
    private readonly documents: SignedDocuments,
    private readonly trusted: Parameters<typeof verifyBackup>[1],
    private readonly epochKey: KekMaterial,
    readonly whole: VerifiedBackup,
  ) {}

  /** @throws BackupDamaged at the first line that is not in order, before anything is opened */
  static async open(
    place: { folder: string; file: string },
    site: { documents: SignedDocuments; trusted: Parameters<typeof verifyBackup>[1] },
    hsm: Pick<BackupHsm, 'open'>,
    epochKey: KekMaterial,
  ): Promise<BackupReader> {
    const path = join(place.folder, place.file);
    return new BackupReader(path, hsm, site.documents, site.trusted, epochKey, await verifyBackup(linesOf(path), site.trusted));
  }

  async keks(): Promise<Map<string, KekInBackup>> {
    const keks = new Map<string, KekInBackup>();
    // One that was destroyed while the backup was made is there twice: what opens keys that were read before counts.
    for await (const kek of this.entries(['keks', 'late-keks'], KekInBackup))
      if (kek.material || !keks.has(kek.kekId)) keks.set(kek.kekId, kek);
    return keks;
  }

  /** Each with its document, verified. @throws TamperedDocument, BackupDamaged */
  async *keys(): AsyncGenerator<{ entry: KeyInBackup; key: Key }> {
    for await (const entry of this.entries(['keys'], KeyInBackup))
      yield { entry, key: this.documents.readKey(entry.keyId, entry.revision, entry.signed) };
  }

  /** Also those that were deleted. @throws TamperedDocument, BackupDamaged */
  async *aliases(): AsyncGenerator<KeyAlias> {
    for await (const { alias, revision, signed } of this.entries(['aliases'], AliasInBackup))
      yield this.documents.readAlias(alias, revision, signed);
  }

  async policy(): Promise<BundleView | undefined> {
    for await (const bundle of this.entries(['policy'], BundleView)) return bundle;
    return undefined;
  }

  private entries<S extends Parameters<typeof entriesOf>[3]>(parts: Parameters<typeof entriesOf>[1], schema: S) {
    const { header } = this.whole;
    const chunks = { epochKey: this.epochKey, dataKey: header.dataKey, backupId: header.backupId };
    return entriesOf<S>(this.lines(), parts, (n, sealed) => this.hsm.open(chunks, n, sealed), schema);
  }

  /** The file may have been exchanged since it was verified: every line is verified again, and it must be the same backup. */
  private async *lines(): AsyncGenerator<BackupLine> {
    for await (const line of readBackup(linesOf(this.path), this.trusted)) {
      if (line.kind === 'manifest' && line.digest !== this.whole.digest)
        throw new Error('the file of the backup was exchanged while it was read');
      yield line;
    }
  }
}
