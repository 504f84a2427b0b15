import { type KeysView } from '@claviger/contracts';
import type { KvView } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';
import type { Key } from './key';
import type { KeyStore } from './key-store';
import { TamperedDocument } from './signed-documents';

const keysPerPage = 200;

/**
 * Reads the whole store again and again, a page at a time, for what no request would notice: a key that is hidden from lists, since what the indexes say of
 * it was changed, or since its document is gone; and one to which what is due was put off. All are told as tampering (by the store, which says how), and
 * what is not signed is put right.
 */
export class StoreCheck {
  private timer: NodeJS.Timeout | undefined;
  private checking: Promise<void> | undefined;
  private after: string | undefined;

  constructor(
    private readonly store: Pick<KeyStore, 'list' | 'reindex' | 'get'>,
    private readonly view: Pick<KvView<KeysView>, 'ids'>,
    private readonly logger: LoggerService,
    /** Sees every key that is read. */
    private readonly look: (keys: readonly Key[]) => Promise<void> = async () => undefined,
    /** What there is beside keys, once each time that all of them were read. */
    private readonly others: () => Promise<void> = async () => undefined,
  ) {}

  start(everyMs: number): void {
    this.timer = setInterval(() => void this.page(), everyMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.checking;
  }

  /** The next page; after the last comes the first. Resolves when it is checked, or could not be. */
  page(): Promise<void> {
    this.checking ??= this.check()
      .catch((error) => this.logger.warn(`check of the store: ${String(error)}`))
      .finally(() => (this.checking = undefined));
    return this.checking;
  }

  private async check(): Promise<void> {
    const after = this.after ?? '';
    const { keys, misindexed, next } = await this.store.list(this.after, keysPerPage);
    for (const key of misindexed)
      if (await this.store.reindex(key)) this.logger.warn(`key ${key.keyId}: what says where and when to look for it is put right`);
    for (const keyId of this.missing(keys, after, next)) await this.find(keyId);
    this.after = next;
    await this.look(keys);
    if (next === undefined) await this.others();
  }

  /** Keys that the workers have and this part of the store has not. */
  private missing(found: Key[], after: string, next: string | undefined): string[] {
    const ids = new Set(found.map(({ keyId }) => keyId));
    const missing: string[] = [];
    for (const id of this.view.ids())
      if (id.startsWith('k_') && id > after && (next === undefined || id <= next) && !ids.has(id)) missing.push(id);
    return missing;
  }

  /** One that was made meanwhile is found now; of any other the store tells what is wrong with it. */
  private async find(keyId: string): Promise<void> {
    try {
      await this.store.get(keyId);
    } catch (error) {
      if (!(error instanceof TamperedDocument)) throw error;
    }
  }
}
