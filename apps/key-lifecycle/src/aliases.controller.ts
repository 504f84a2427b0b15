import { claviger, keyResource } from '@claviger/authz';
import { type AliasChange, type AliasDescription, keyOperations, limits, ProblemError, type Request } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { type About, type Admit, type Asker, named, RecordedReply } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { assertPointable, deleteAlias, type KeyAlias, pointAlias, targetOf } from './alias';
import { type AliasChanged, AliasCommands } from './alias-commands';
import { AliasStore, noSuchAlias } from './alias-store';
import type { Key } from './key';
import { isLowered } from './key-events';
import { KeyStore } from './key-store';
import { ListCursors } from './list-cursors';
import { scannedMost } from './list-page';
import { NamedKeys } from './named-keys';
import { TamperedDocument } from './signed-documents';

type Ops = typeof keyOperations;

/** Names of keys. Policy decides on the keys that an alias points to, before and after. */
@Controller()
export class AliasesController {
  constructor(
    private readonly replies: RecordedReply,
    private readonly commands: AliasCommands,
    private readonly aliases: AliasStore,
    private readonly names: NamedKeys,
    private readonly store: KeyStore,
    private readonly cursors: ListCursors,
  ) {}

  @MessagePattern(keyOperations.setAlias.name)
  setAlias(@Payload() request: Request<Ops['setAlias']>, @Ctx() context: RequestContext): Promise<Answer> {
    const { alias, keyId: ref, reason } = request;
    const about: About = { alias, reason };
    return this.replies.answer(keyOperations.setAlias, context, about, async ({ admit, admitAlso, intend }) => {
      const keyId = await this.names.idOf(named(ref), admit);
      about.keyId = keyId;
      let previousKeyId: string | undefined;
      const changed = await this.commands.change(
        alias,
        async (current) => {
          const to = await this.key(keyId, admit);
          admit('keys:SetAlias', keyResource(to));
          previousKeyId = targetOf(current);
          // Also of one that was deleted: else deleting it first would be the way around.
          const from = current === undefined || current.keyId === keyId ? undefined : await this.key(current.keyId, admit);
          Object.assign(about, previous(previousKeyId === keyId ? undefined : previousKeyId));
          if (from) {
            admitAlso('keys:SetAlias', keyResource(from));
            // Whom callers trust with their data, and how much care it is given, is not for whoever only names keys.
            if (from.owner !== to.owner) admitAlso('keys:SetOwner', keyResource(from));
            if (isLowered(from, to.classification)) admitAlso('keys:LowerClassification', keyResource(from));
          }
          assertPointable(to, previousKeyId === undefined ? undefined : from);
          if (previousKeyId !== keyId) await this.assertRoom(keyId, current === undefined);
          return pointAlias(current, alias, keyId);
        },
        ({ revision }) => intend({ keyId, ...previous(previousKeyId), revision }),
      );
      return this.done(changed, previousKeyId);
    });
  }

  @MessagePattern(keyOperations.deleteAlias.name)
  deleteAlias(@Payload() { alias, reason }: Request<Ops['deleteAlias']>, @Ctx() context: RequestContext): Promise<Answer> {
    const about: About = { alias, reason };
    return this.replies.answer(keyOperations.deleteAlias, context, about, async ({ admit, intend }) => {
      const changed = await this.commands.change(
        alias,
        async (current) => {
          if (!current) {
            admit('keys:List', claviger);
            throw noSuchAlias();
          }
          about.keyId = current.keyId;
          admit('keys:SetAlias', keyResource(await this.key(current.keyId, admit)));
          // Also one that is deleted: the workers can confirm what is new only.
          return deleteAlias(current);
        },
        ({ revision }) => intend({ revision }),
      );
      return this.done(changed, changed.alias.keyId);
    });
  }

  @MessagePattern(keyOperations.listAliases.name)
  listAliases(@Payload() request: Request<Ops['listAliases']>, @Ctx() context: RequestContext): Promise<Answer> {
    const about = request.keyId === undefined ? {} : named(request.keyId);
    return this.replies.answer(keyOperations.listAliases, context, about, async ({ admit, allows }) => {
      const keyId = request.keyId === undefined ? undefined : (await this.names.described(about, admit)).keyId;
      if (keyId === undefined) admit('keys:List', claviger);
      const list = { principal: context.principal, filter: { aliasesOf: keyId ?? 'all' } };
      const after = request.after === undefined ? undefined : await this.cursors.open(request.after, list);
      const { aliases, next } = await this.shown(keyId, { after, limit: request.limit }, allows);
      return { result: { aliases, ...(next === undefined ? {} : { next: await this.cursors.seal(next, list) }) } };
    });
  }

  private done({ alias, reached, recorded }: AliasChanged, previousKeyId: string | undefined) {
    const keyId = targetOf(alias);
    const result: AliasChange = {
      ...{ alias: alias.alias, ...(keyId === undefined ? {} : { keyId }), ...previous(previousKeyId), revision: alias.revision },
      ...reached,
    };
    return { result, record: keyId === undefined ? {} : previous(previousKeyId), recorded };
  }

  private async key(keyId: string, admit: Admit): Promise<Key> {
    const key = await this.store.get(keyId);
    if (key) return key;
    admit('keys:List', claviger);
    throw new ProblemError('ERR_KEY_UNKNOWN');
  }

  /** Two that are made at one moment may both find room for one. */
  private async assertRoom(keyId: string, isNew: boolean): Promise<void> {
    const { ofKey, total } = await this.aliases.counts(keyId);
    if (ofKey >= limits.aliasesPerKey) throw new ProblemError('ERR_KEY_STATE', `A key has at most ${limits.aliasesPerKey} aliases.`);
    if (isNew && total >= limits.aliasesTotal)
      throw new ProblemError('ERR_KEY_STATE', `There are ${limits.aliasesTotal} names already: point one that is there to this key.`);
  }

  /**
   * Pages of the store are read on until one is full, so that neither its length nor whether there is a next one says how many aliases there are of keys
   * that the caller must not know of. Of one key, its caller may describe it.
   */
  private async shown(
    keyId: string | undefined,
    { after, limit }: { after: string | undefined; limit: number },
    allows: Asker['allows'],
  ): Promise<{ aliases: AliasDescription[]; next: string | undefined }> {
    const aliases: AliasDescription[] = [];
    let from = after;
    for (let scanned = 0; scanned < scannedMost; scanned += limits.listPage) {
      const page = await this.aliases.list(from, limits.listPage, keyId);
      const live = page.aliases.filter(({ deleted }) => !deleted);
      const keys = keyId === undefined ? await this.keysOf(live) : undefined;
      for (const { alias, keyId: of, revision } of live) {
        const key = keys?.get(of);
        if (keys && !(key && allows('keys:Describe', keyResource(key)))) continue;
        if (aliases.length === limit) return { aliases, next: aliases.at(-1)?.alias };
        aliases.push({ alias, keyId: of, revision });
      }
      if (page.next === undefined) return { aliases, next: undefined };
      from = page.next;
    }
    return { aliases, next: from };
  }

  /** Tampered documents are passed over, as in a list of keys. */
  private async keysOf(aliases: readonly KeyAlias[]): Promise<ReadonlyMap<string, Key>> {
    const keys = new Map<string, Key>();
    for (const keyId of new Set(aliases.map((alias) => alias.keyId)))
      try {
        const key = await this.store.get(keyId);
        if (key) keys.set(keyId, key);
      } catch (error) {
        if (!(error instanceof TamperedDocument)) throw error;
      }
    return keys;
  }
}

const previous = (previousKeyId: string | undefined) => (previousKeyId === undefined ? {} : { previousKeyId });
