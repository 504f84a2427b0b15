import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { ProblemError } from '@claviger/contracts';
import type { Collection, Db } from 'mongodb';
import { reached } from './key-store';

/** AES-256-GCM: nonce of 12 bytes, the id, tag of 16 bytes (SP 800-38D). Few are made in the life of a key of random nonces: a page each. */
const [nonceBytes, tagBytes, keyBytes] = [12, 16, 32];

/** Of whom, and of which list, a cursor is. */
export interface ListOf {
  principal: string;
  filter: object;
}

/** A cursor is an id or an alias, sealed: where a list goes on is, for most callers, one that they must not know of. Only the same list goes on from it. */
export function sealCursor(key: Buffer, keyId: string, of: ListOf): string {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(bound(of));
  const sealed = Buffer.concat([cipher.update(keyId, 'utf8'), cipher.final()]);
  return Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString('base64url');
}

/** Throws ERR_MALFORMED_REQUEST for one of another list, another caller or another installation. */
export function openCursor(key: Buffer, cursor: string, of: ListOf): string {
  const bytes = Buffer.from(cursor, 'base64url');
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes }).setAAD(bound(of));
    decipher.setAuthTag(bytes.subarray(-tagBytes));
    return Buffer.concat([decipher.update(bytes.subarray(nonceBytes, -tagBytes)), decipher.final()]).toString('utf8');
  } catch (cause) {
    throw new ProblemError('ERR_MALFORMED_REQUEST', '`after` is not the `next` of a page of this list: begin again without it.', { cause });
  }
}

const bound = ({ principal, filter }: ListOf): Buffer =>
  Buffer.from(JSON.stringify([principal, Object.entries(filter).sort(([one], [other]) => (one < other ? -1 : 1))]));

interface CursorKeyDocument {
  _id: 'list-cursors';
  key: string;
}

/**
 * The key that all replicas seal cursors with. It lies beside the keys' documents and hides nothing from whoever reads those; callers, who cannot, are whom
 * cursors tell nothing. Forged, it would let a list go on from elsewhere, and policy is asked about each key all the same.
 */
export class ListCursors {
  private readonly secrets: Collection<CursorKeyDocument>;
  private held: Buffer | undefined;

  constructor(db: Db) {
    this.secrets = db.collection('secrets');
  }

  async seal(keyId: string, of: ListOf): Promise<string> {
    return sealCursor(await this.key(), keyId, of);
  }

  async open(cursor: string, of: ListOf): Promise<string> {
    return openCursor(await this.key(), cursor, of);
  }

  /** Made by whoever needs it first. */
  private async key(): Promise<Buffer> {
    if (this.held) return this.held;
    const found = await reached(() =>
      this.secrets.findOneAndUpdate(
        { _id: 'list-cursors' },
        { $setOnInsert: { key: randomBytes(keyBytes).toString('base64url') } },
        { upsert: true, returnDocument: 'after' },
      ),
    );
    const key = Buffer.from(found?.key ?? '', 'base64url');
    if (key.length !== keyBytes) throw new ProblemError('ERR_STORE_UNAVAILABLE', 'The key of list cursors in the store is none.');
    this.held = key;
    return key;
  }
}
