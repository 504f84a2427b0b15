import { claviger, keyResource } from '@claviger/authz';
import { ProblemError } from '@claviger/contracts';
import type { About, Admit } from '@claviger/service';
import { targetOf } from './alias';
import { type AliasStore, noSuchAlias } from './alias-store';
import type { Key } from './key';
import type { KeyStore } from './key-store';

/** The key that a request names, by its id or by an alias. */
export class NamedKeys {
  constructor(
    private readonly aliases: Pick<AliasStore, 'get'>,
    private readonly store: Pick<KeyStore, 'get'>,
  ) {}

  /**
   * Its id, which `about` says from then on, so that the record does. An alias decides nothing: policy is asked about the key. Throws ERR_KEY_UNKNOWN where
   * no key has the alias, to those who may list keys, and denies the others.
   */
  async idOf(about: About, admit: Admit): Promise<string> {
    if (about.keyId === undefined) {
      const keyId = targetOf(await this.aliases.get(about.alias as string));
      if (keyId === undefined) {
        admit('keys:List', claviger);
        throw noSuchAlias();
      }
      about.keyId = keyId;
    }
    return about.keyId;
  }

  /** One that the caller may describe. Whether there is such a key is told only to those who may list keys. */
  async described(about: About, admit: Admit): Promise<Key> {
    const key = await this.store.get(await this.idOf(about, admit));
    if (!key) {
      admit('keys:List', claviger);
      throw new ProblemError('ERR_KEY_UNKNOWN');
    }
    admit('keys:Describe', keyResource(key));
    return key;
  }
}
