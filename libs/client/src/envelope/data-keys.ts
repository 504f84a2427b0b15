import { createHash } from 'node:crypto';
import type { EncryptionContext } from '@claviger/contracts';
import { contextDigest } from './context-digest';

/**
 * What a cached data key may be used for at most. A key in the cache goes on working here after Claviger has suspended its parent, so
 * `maxAgeMs` is also the longest that a suspension takes to reach this process.
 */
export interface DataKeyBounds {
  maxUses: number;
  /** Bytes sealed under one data key. */
  maxBytes: number;
  maxAgeMs: number;
  /** Data keys held at the same time; the least recently used goes first. */
  maxEntries: number;
}
export const defaultBounds: DataKeyBounds = { maxUses: 1_000, maxBytes: 64 * 1_024 * 1_024, maxAgeMs: 60_000, maxEntries: 100 };

/** The two calls to Claviger behind the cache. Both give plaintext in memory of its own. */
export interface DataKeySource {
  generate(keyId: string, context: EncryptionContext | undefined): Promise<DataKey>;
  unwrap(keyId: string, wrapped: string, context: EncryptionContext | undefined): Promise<{ plaintext: Uint8Array; keyId: string }>;
}

/** Buffers and streams use a data key in different ways, so one data key never serves both. */
export type Purpose = 'buffer' | 'stream';

export interface DataKeyRequest {
  /** Or an alias. */
  keyId: string;
  context: EncryptionContext | undefined;
  purpose: Purpose;
}

export interface DataKey {
  /** 32 bytes, overwritten when the cache drops it: use it at once, keep no reference. */
  readonly plaintext: Uint8Array;
  readonly wrapped: string;
  readonly version: number;
  /** Of the key above: where the request named an alias, the key that this pointed to. */
  readonly keyId: string;
}

interface Entry {
  readonly key: DataKey;
  uses: number;
  bytes: number;
  dropped: boolean;
  timer: NodeJS.Timeout;
}

/** Data keys in clear, bounded by uses, bytes, age and number; overwritten with zeros when they leave. */
export class DataKeys {
  private readonly slots = new Map<string, Promise<Entry>>();

  constructor(
    private readonly source: DataKeySource,
    private readonly bounds: DataKeyBounds = defaultBounds,
  ) {}

  /** Runs `use` with a data key to seal `bytes` bytes under. `use` is synchronous, so that the key cannot be dropped below it. */
  toSeal<T>({ keyId, context, purpose }: DataKeyRequest, bytes: number, use: (key: DataKey) => T): Promise<T> {
    const slot = `seal ${purpose} ${keyId} ${contextDigest(context)}`;
    return this.withKey(slot, bytes, use, () => this.source.generate(keyId, context));
  }

  /** Runs `use` with the data key that `wrapped` holds. */
  toOpen<T>({ keyId, context, purpose }: DataKeyRequest, wrapped: string, use: (key: DataKey) => T): Promise<T> {
    const slot = `open ${purpose} ${keyId} ${contextDigest(context)} ${createHash('sha256').update(wrapped).digest('base64url')}`;
    return this.withKey(slot, 0, use, async () => ({ ...(await this.source.unwrap(keyId, wrapped, context)), wrapped, version: 0 }));
  }

  /** Overwrites every data key. */
  clear(): void {
    for (const slot of [...this.slots.keys()]) this.forget(slot);
  }

  private async withKey<T>(slot: string, bytes: number, use: (key: DataKey) => T, load: () => Promise<DataKey>): Promise<T> {
    if (this.bounds.maxUses <= 1) return once(await load(), use);
    for (;;) {
      const entry = await this.entry(slot, load);
      // Others wait for the same entry; whoever comes late finds it used up, and takes the next.
      if (entry.dropped) continue;
      if (entry.uses > 0 && entry.bytes + bytes > this.bounds.maxBytes) {
        this.drop(slot, entry);
        continue;
      }
      entry.uses++;
      entry.bytes += bytes;
      try {
        return use(entry.key);
      } finally {
        if (entry.uses >= this.bounds.maxUses || entry.bytes >= this.bounds.maxBytes) this.drop(slot, entry);
      }
    }
  }

  private entry(slot: string, load: () => Promise<DataKey>): Promise<Entry> {
    const held = this.slots.get(slot);
    if (held) {
      // Last in the map is the most recently used.
      this.slots.delete(slot);
      this.slots.set(slot, held);
      return held;
    }
    const loading = load().then((key) => {
      const entry: Entry = {
        key,
        uses: 0,
        bytes: 0,
        dropped: false,
        timer: setTimeout(() => this.drop(slot, entry), this.bounds.maxAgeMs),
      };
      entry.timer.unref();
      return entry;
    });
    this.slots.set(slot, loading);
    loading.catch(() => {
      if (this.slots.get(slot) === loading) this.slots.delete(slot);
    });
    for (const oldest of this.slots.keys()) {
      if (this.slots.size <= this.bounds.maxEntries) break;
      this.forget(oldest);
    }
    return loading;
  }

  private forget(slot: string): void {
    const loading = this.slots.get(slot);
    this.slots.delete(slot);
    loading?.then(zeroise, () => undefined);
  }

  private drop(slot: string, entry: Entry): void {
    // The slot of a dropped entry may hold its successor already.
    if (!entry.dropped) this.slots.delete(slot);
    zeroise(entry);
  }
}

function zeroise(entry: Entry): void {
  clearTimeout(entry.timer);
  entry.dropped = true;
  entry.key.plaintext.fill(0);
}

function once<T>(key: DataKey, use: (key: DataKey) => T): T {
  try {
    return use(key);
  } finally {
    key.plaintext.fill(0);
  }
}
