import { createHash } from 'node:crypto';
import {
  type BackupChunk,
  type BackupHeader,
  type BackupManifest,
  type BackupPart,
  backupLineTypes,
  chunkBytes,
} from '@claviger/contracts';
import { type RecordSigner, signRecord } from '@claviger/messaging';

/** SHA-256 of a line, base64url: what the line after it names. */
export const digestOf = (line: string): string => createHash('sha256').update(line).digest('base64url');

export interface BackupWriterParts {
  header: BackupHeader;
  signer: RecordSigner;
  /** Seals chunk `n` in the token. */
  seal: (n: number, plaintext: Buffer) => Promise<string>;
  /** Takes the next line of the file; awaited, so that a slow disk holds the writer up and nothing piles up here. */
  write: (line: string) => Promise<void>;
}

/** Writes a backup line by line, holding one chunk of it. Calls must not overlap. */
export class BackupWriter {
  private prev = '';
  private chunks = 0;
  private part: BackupPart | undefined;
  private waiting: Buffer[] = [];
  private waitingBytes = 0;

  constructor(private readonly parts: BackupWriterParts) {}

  async begin(): Promise<void> {
    await this.line(signRecord(backupLineTypes.header, this.parts.header, this.parts.signer));
  }

  /** One entry of a part, as a line of NDJSON. */
  async add(part: BackupPart, entry: unknown): Promise<void> {
    if (part !== this.part) await this.flush();
    this.part = part;
    const bytes = Buffer.from(`${JSON.stringify(entry)}\n`);
    this.waiting.push(bytes);
    this.waitingBytes += bytes.length;
    while (this.waitingBytes >= chunkBytes) await this.cut(chunkBytes);
  }

  /** @returns digest of the manifest's line, which names all lines before it */
  async finish(about: Omit<BackupManifest, 'backupId' | 'chunks' | 'prev'>): Promise<string> {
    await this.flush();
    const { backupId } = this.parts.header;
    const manifest: BackupManifest = { backupId, chunks: this.chunks, prev: this.prev, ...about };
    await this.line(signRecord(backupLineTypes.manifest, manifest, this.parts.signer));
    return this.prev;
  }

  private async flush(): Promise<void> {
    if (this.waitingBytes > 0) await this.cut(this.waitingBytes);
  }

  private async cut(bytes: number): Promise<void> {
    const all = this.waiting.length === 1 ? (this.waiting[0] as Buffer) : Buffer.concat(this.waiting);
    const rest = all.subarray(bytes);
    this.waiting = rest.length === 0 ? [] : [rest];
    this.waitingBytes = rest.length;
    const n = ++this.chunks;
    const { header, signer, seal } = this.parts;
    const sealed = await seal(n, all.subarray(0, bytes));
    const chunk: BackupChunk = { backupId: header.backupId, n, part: this.part as BackupPart, prev: this.prev, sealed };
    await this.line(signRecord(backupLineTypes.chunk, chunk, signer));
  }

  private async line(line: string): Promise<void> {
    this.prev = digestOf(line);
    await this.parts.write(line);
  }
}
