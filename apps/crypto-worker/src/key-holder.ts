import { type KeyResource, keyResource } from '@claviger/authz';
import { isAlias, type KekMaterial, type KeysView, type KeyView, ProblemError, type TokenKey } from '@claviger/contracts';
import { type KeyHandle, type PairAlgorithm, type Token, UnwrappedKeys, unwrappedKeyId } from '@claviger/hsm';
import type { KvView } from '@claviger/messaging';
import { LRUCache } from 'lru-cache';
import type { KeyVersion } from './key-use';
import { isRewrapOf } from './rewrapped';
import type { Tokens } from './tokens';

/** What is derived once from a key record and used at each operation. */
interface Prepared {
  resource: KeyResource;
  versions: Map<number, { unwrappedId: string; wrapped: Buffer }>;
}

/** The keys that this worker can use: records from the view, and their material unwrapped in the token on demand. */
export class KeyHolder {
  private readonly prepared = new WeakMap<KeyView, Prepared>();
  /** Of each token that was used. */
  private readonly caches = new Map<Token, UnwrappedKeys>();
  private readonly kekCaches = new Map<Token, UnwrappedKeys>();
  /** In which token each KEK was; the first one's label is not said. */
  private readonly rootTokens = new Map<string, string | undefined>();
  /** Key ids and aliases that the bucket did not have a moment ago, so that guessing ids costs the broker nothing. */
  private readonly absent = new LRUCache<string, true>({ max: 10_000, ttl: 1_000 });

  constructor(
    private readonly view: KvView<KeysView>,
    private readonly tokens: Tokens,
    private readonly options: { capacity: number; ttlMs: number; onDestroyFailure: (error: unknown) => void },
  ) {
    view.onChange((record) => {
      // A changed key leaves the token at once: what is still allowed is unwrapped anew.
      if (record.kind === 'key') for (const keys of this.caches.values()) keys.forget(record.keyId);
      else if (record.kind === 'kek') this.kekChanged(record);
    });
  }

  fresh(): boolean {
    return this.view.fresh();
  }

  /** Destroys unwrapped keys that are past their time. */
  forgetExpired(): void {
    for (const keys of [...this.caches.values(), ...this.kekCaches.values()]) keys.forgetExpired();
  }

  get unwrapped(): number {
    return [...this.caches.values()].reduce((sum, keys) => sum + keys.size, 0);
  }

  /** The key's record, or undefined when the watch has not delivered one. */
  peek(keyId: string): KeyView | undefined {
    const record = this.view.get(keyId);
    return record?.kind === 'key' ? record : undefined;
  }

  /** As `peek`. Throws ERR_KEY_UNKNOWN, and ERR_STATE_STALE for one that there is and that is not held here: unknown is not absent. */
  known(keyId: string): KeyView {
    const key = this.peek(keyId);
    if (!key) throw new ProblemError(this.view.held(keyId) ? 'ERR_STATE_STALE' : 'ERR_KEY_UNKNOWN');
    return key;
  }

  /**
   * As `known`, but a key so new that the watch has not delivered it is read once past it. Throws ERR_KEY_UNKNOWN when the bucket has none, and
   * ERR_STATE_STALE when that cannot be told.
   */
  async find(keyId: string): Promise<KeyView> {
    const known = this.peek(keyId);
    if (known) return known;
    const fetched = await this.fetched(keyId);
    if (fetched?.kind === 'key') return fetched;
    throw new ProblemError('ERR_KEY_UNKNOWN');
  }

  /** As the bucket has it now, whatever the watch has delivered; never older than that. Throws ERR_KEY_UNKNOWN, ERR_STATE_STALE. */
  async newest(keyId: string): Promise<KeyView> {
    const [fetched, held] = [await this.fetched(keyId), this.peek(keyId)];
    if (fetched?.kind !== 'key') throw new ProblemError('ERR_KEY_UNKNOWN');
    return held && held.revision > fetched.revision ? held : fetched;
  }

  /** Read past the watch; undefined when the bucket has none. Throws ERR_STATE_STALE when that cannot be told. */
  private async fetched(id: string): Promise<KeysView | undefined> {
    if (this.absent.has(id)) return undefined;
    const fetched = await this.view.fetch(id).catch((cause: unknown) => {
      throw new ProblemError('ERR_STATE_STALE', undefined, { cause });
    });
    if (!fetched) this.absent.set(id, true);
    return fetched;
  }

  /**
   * The id of the key that a request names, now: its own, or where the alias points. Undefined: no key has the alias. Throws ERR_STATE_STALE for an alias
   * that `arrive` was not asked for, or that could not be kept: unknown is not absent.
   */
  idOf(ref: string): string | undefined {
    if (!isAlias(ref)) return ref;
    const alias = this.alias(ref);
    if (!alias && !this.absent.has(ref)) throw new ProblemError('ERR_STATE_STALE');
    return alias?.keyId;
  }

  /** Whether `idOf` and `known` tell all that there is to tell, without asking the bucket. */
  isHere(ref: string): boolean {
    if (!isAlias(ref)) return this.peek(ref) !== undefined;
    const alias = this.alias(ref);
    return alias !== undefined && (alias.keyId === undefined || this.peek(alias.keyId) !== undefined);
  }

  /** Brings what the watch has not delivered yet, as `find` does: a key, or an alias and its key. An alias that there is not is no failure here. */
  async arrive(ref: string): Promise<void> {
    if (!isAlias(ref)) return void (await this.find(ref));
    const alias = this.alias(ref) ?? (await this.fetched(ref));
    if (alias?.kind === 'alias' && alias.keyId !== undefined) await this.find(alias.keyId);
  }

  private alias(ref: string) {
    const record = this.view.get(ref);
    return record?.kind === 'alias' ? record : undefined;
  }

  resource(key: KeyView): KeyResource {
    return this.prepare(key).resource;
  }

  /** The token that this version is used in. Throws ERR_HSM_UNAVAILABLE when this worker does not reach it. */
  tokenOf(version: KeyVersion): Token {
    return this.tokens.ofRoot(this.tokenLabelOf(version));
  }

  /** The token that a KEK is used in. Throws ERR_HSM_UNAVAILABLE when this worker does not reach it. */
  tokenOfKek({ token }: Pick<KekMaterial, 'token'>): Token {
    return this.tokens.ofRoot(token);
  }

  /** Labels of the tokens that hold a root which something is under; the first one's where there is nothing yet. */
  rootTokenLabels(): ReadonlySet<string> {
    const { label } = this.tokens.primary;
    return new Set(this.rootTokens.size === 0 ? [label] : [...this.rootTokens.values()].map((token) => token ?? label));
  }

  /** The one token that all of these are used in. Throws ERR_HSM_UNAVAILABLE while they are on their way from one to another. */
  commonToken([first, ...others]: readonly [KekMaterial, ...KekMaterial[]]): Token {
    const token = this.tokenOfKek(first);
    if (others.every((one) => this.tokenOfKek(one) === token)) return token;
    throw new ProblemError('ERR_HSM_UNAVAILABLE', 'What wraps these keys is on its way from one token to another: ask again in a moment.');
  }

  /** The unwrapped key, to be used before the next await. */
  handle(asked: KeyView, { version: number }: Pick<KeyVersion, 'version'>): KeyHandle {
    const key = this.unchanged(asked);
    const version = key.versions.find((one) => one.version === number) as KeyVersion;
    this.assertHere(key, version);
    const { material } = version;
    const ready = this.prepare(key).versions.get(number);
    if (!material || !ready) throw new ProblemError('ERR_KEY_MATERIAL_MISSING', `Version ${version.version} has no material.`);
    if (material.custody === 'token') return this.inToken(material);
    const token = this.tokenOf(version);
    return this.cacheOf(token).getOrUnwrap(ready.unwrappedId, () =>
      token.unwrap({
        wrapped: ready.wrapped,
        mechanism: material.mechanism,
        algorithm: key.algorithm,
        wrappingKey: this.kek(material.kekId),
        usage: key.usage,
      }),
    );
  }

  /** The public half as a session object that can only verify, only encapsulate, or only encrypt (RSA). */
  publicKey(key: KeyView, version: KeyVersion): KeyHandle {
    this.unchanged(key);
    this.assertHere(key, version);
    const { publicKeySpki } = version;
    if (publicKeySpki === undefined) throw new ProblemError('ERR_KEY_STATE', `Version ${version.version} has no public key.`);
    const token = this.tokenOf(version);
    const usage = key.usage === 'encapsulate' || key.usage === 'encrypt' ? key.usage : 'sign';
    return this.cacheOf(token).getOrUnwrap(`${key.keyId}#${version.version}:public`, () =>
      token.importPublicKey(key.algorithm as PairAlgorithm, Buffer.from(publicKeySpki, 'base64url'), usage),
    );
  }

  private cacheOf(token: Token): UnwrappedKeys {
    const known = this.caches.get(token);
    if (known) return known;
    const cache = new UnwrappedKeys(token, this.options);
    this.caches.set(token, cache);
    return cache;
  }

  private kekCacheOf(token: Token): UnwrappedKeys {
    const known = this.kekCaches.get(token);
    if (known) return known;
    const cache = new UnwrappedKeys(token, { ...this.options, capacity: 256 });
    this.kekCaches.set(token, cache);
    return cache;
  }

  /**
   * The key's record as it is now. What waited for a session must not bring back a key that was suspended or destroyed meanwhile; one that was only
   * rewrapped is the same key. Throws ERR_CONFLICT.
   */
  unchanged(key: KeyView): KeyView {
    const now = this.peek(key.keyId);
    // By revision: it may have been dropped and read again.
    if (this.view.held(key.keyId)?.revision === key.revision) return now ?? key;
    if (now && isRewrapOf(now, key)) return now;
    throw new ProblemError('ERR_CONFLICT', 'The key was changed while it was used.');
  }

  /** Throws ERR_RESIDENCY. */
  private assertHere({ residency }: KeyView, version: KeyVersion): void {
    this.tokens.assertResides(residency, this.tokenLabelOf(version) ?? this.tokens.primary.label);
  }

  /** Undefined: the first. What has no material, or is under a KEK that is not here, is in none; what is asked with its public half alone is asked of the first. */
  private tokenLabelOf({ material }: KeyVersion): string | undefined {
    if (material?.custody === 'token') return material.token;
    const kek = material && this.view.get(material.kekId);
    return kek?.kind === 'kek' ? kek.material?.token : undefined;
  }

  /** One that went to another token takes all keys that it wraps along: nothing of them stays unwrapped in the old one. */
  private kekChanged({ kekId, material }: Extract<KeysView, { kind: 'kek' }>): void {
    for (const keks of this.kekCaches.values()) keks.forget(kekId);
    const moved = this.rootTokens.has(kekId) && this.rootTokens.get(kekId) !== material?.token;
    if (material) this.rootTokens.set(kekId, material.token);
    else this.rootTokens.delete(kekId);
    if (moved && material)
      for (const keys of this.caches.values()) for (const keyId of keys.keyIds()) if (this.mayBeUnder(keyId, kekId)) keys.forget(keyId);
  }

  private mayBeUnder(keyId: string, kekId: string): boolean {
    const key = this.peek(keyId);
    return key === undefined || key.versions.some(({ material }) => material?.custody === 'wrapped' && material.kekId === kekId);
  }

  private inToken({ token, label }: TokenKey): KeyHandle {
    return this.tokens.named(token).findTokenKey(label, 'private');
  }

  private kek(kekId: string): KeyHandle {
    const record = this.view.get(kekId);
    // The key's own record came with the KEK's before it; a KEK that is not here is a view that is not complete.
    if (record?.kind !== 'kek') throw new ProblemError('ERR_STATE_STALE', `KEK ${kekId} has not arrived.`);
    if (!record.material) throw destroyed(kekId);
    return this.unwrapKek(record.kekId, record.material);
  }

  /** A KEK as a session object that can only wrap and unwrap. One that is destroyed wraps nothing, whoever still has its material. Throws ERR_KEY_STATE. */
  unwrapKek(kekId: string, material: KekMaterial): KeyHandle {
    const known = this.view.get(kekId);
    if (known?.kind === 'kek' && known.state === 'destroyed') throw destroyed(kekId);
    const wrapped = Buffer.from(material.wrapped, 'base64url');
    const token = this.tokenOfKek(material);
    return this.kekCacheOf(token).getOrUnwrap(unwrappedKeyId(kekId, 1, wrapped), () =>
      token.unwrap({
        wrapped,
        mechanism: material.mechanism,
        algorithm: 'AES_256',
        wrappingKey: token.findTokenKey(material.rootLabel, 'secret'),
        usage: 'wrap',
      }),
    );
  }

  private prepare(key: KeyView): Prepared {
    let prepared = this.prepared.get(key);
    if (!prepared) {
      const versions = new Map(
        key.versions.map((v) => {
          const wrapped = Buffer.from(v.material?.custody === 'wrapped' ? v.material.wrapped : '', 'base64url');
          return [v.version, { unwrappedId: unwrappedKeyId(key.keyId, v.version, wrapped), wrapped }] as const;
        }),
      );
      prepared = { resource: keyResource(key), versions };
      this.prepared.set(key, prepared);
    }
    return prepared;
  }
}

const destroyed = (kekId: string) => new ProblemError('ERR_KEY_STATE', `${kekId} is destroyed, and with it what it still wrapped.`);
