import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { KeyHandle } from './connection';
import type { Token } from './token';

export interface UnwrappedKeysOptions {
  /** Session objects held at most; 10,000 AES keys cost SoftHSM about 92 MB. */
  capacity: number;
  /** Milliseconds after its unwrapping at which a key is given up, used or not. */
  ttlMs: number;
  /** Milliseconds, of any origin. */
  now?: () => number;
  /** A session object that could not be destroyed: it stays in the token until its session ends. */
  onDestroyFailure?: (error: unknown) => void;
}

/** Id of an unwrapped key. It holds the blob's digest, so that a rewrapped or replaced blob is never served from what the old one gave. */
export const unwrappedKeyId = (keyId: string, version: number, wrapped: Buffer): string =>
  `${keyId}#${version}:${createHash('sha256').update(wrapped).digest('base64url')}`;

/**
 * Bounded cache of unwrapped keys; what falls out is destroyed in the token at once. Use a handle before the next `await`: later it may be gone.
 */
export class UnwrappedKeys {
  readonly #token: Token;
  readonly #keys: LRUCache<string, KeyHandle>;
  /** Ids that are held, by key: a change of one key must not cost a walk over all of them. */
  readonly #ids = new Map<string, Set<string>>();
  #generation: number;

  constructor(token: Token, { capacity, ttlMs, now = () => performance.now(), onDestroyFailure }: UnwrappedKeysOptions) {
    this.#token = token;
    this.#generation = token.generation;
    this.#keys = new LRUCache({
      max: capacity,
      ttl: ttlMs,
      ttlResolution: 0,
      // lru-cache takes a start of 0 for "no time given".
      perf: { now: () => now() + 1 },
      disposeAfter: (key, id) => {
        this.#release(id);
        try {
          token.destroyObject(key);
        } catch (error) {
          onDestroyFailure?.(error);
        }
      },
    });
  }

  get size(): number {
    return this.#keys.size;
  }

  /** The handle held under `id` (see unwrappedKeyId), else what `unwrap` gives, from now on held. What `unwrap` throws passes through. */
  getOrUnwrap(id: string, unwrap: () => KeyHandle): KeyHandle {
    if (this.#generation !== this.#token.generation) this.clear();
    const held = this.#keys.get(id);
    if (held) return held;
    const key = unwrap();
    this.#keys.set(id, key);
    const keyId = keyIdOf(id);
    const ids = this.#ids.get(keyId);
    if (ids) ids.add(id);
    else this.#ids.set(keyId, new Set([id]));
    return key;
  }

  /** Destroys every version of the key: suspended, revoked or deleted keys leave the token at once. */
  forget(keyId: string): void {
    for (const id of [...(this.#ids.get(keyId) ?? [])]) this.#keys.delete(id);
  }

  /** Keys of which something is held. */
  keyIds(): string[] {
    return [...this.#ids.keys()];
  }

  /** Destroys what is past its time; unused keys would otherwise stay until they are displaced. For a timer of the holder. */
  forgetExpired(): void {
    this.#keys.purgeStale();
  }

  /** Destroys all of them. */
  clear(): void {
    this.#keys.clear();
    this.#generation = this.#token.generation;
  }

  /** Not when the id has another handle by now. */
  #release(id: string): void {
    if (this.#keys.has(id)) return;
    const keyId = keyIdOf(id);
    const ids = this.#ids.get(keyId);
    ids?.delete(id);
    if (ids?.size === 0) this.#ids.delete(keyId);
  }
}

const keyIdOf = (id: string): string => id.slice(0, id.indexOf('#'));
