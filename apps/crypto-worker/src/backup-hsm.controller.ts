import {
  backupHsmOperations,
  type CanarySubject,
  type KekMaterial,
  ProblemError,
  type Request,
  type Trust,
  type Wrapped,
} from '@claviger/contracts';
import { type KeyHandle, type Token, tokenKeyLabels } from '@claviger/hsm';
import type { Answer } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { checkCanary, makeCanary, unwrapVerdict } from './canaries';
import { hsmAnswer } from './hsm-answer';
import { decoded, encoded, passed, underRoot } from './kek-moves';
import { KeyHolder } from './key-holder';
import { TokenBreaker } from './token-breaker';
import { Tokens } from './tokens';

type Ops = typeof backupHsmOperations;
type UnderRoot = KekMaterial;
const firstRoot = tokenKeyLabels.customer.root;
const algorithm = 'AES_256';
const transport = 'RSA_AES_KEY_WRAP_SHA_256';
/** So many versions are looked at before callers of this worker have their turn. */
const inOneTurn = 8;

/** A class, since Nest injects by it. */
export class RecoveryKeys {
  constructor(
    /** Public keys of the recovery groups of trust.json, by their ids. */
    readonly trusted: NonNullable<Trust['recovery']>,
  ) {}
}

/**
 * What backups need of the token, for key-lifecycle alone. No key leaves it but wrapped: under the root, under the key of an epoch of backups, or to a
 * recovery group that trust.json names, whatever is asked.
 */
@Controller()
export class BackupHsmController {
  constructor(
    private readonly tokens: Tokens,
    private readonly keys: KeyHolder,
    private readonly breaker: TokenBreaker,
    private readonly recovery: RecoveryKeys,
  ) {}

  @MessagePattern(backupHsmOperations.generateEpochKey.name)
  generateEpochKey(@Payload() { group, rootLabel = firstRoot, token: label }: Request<Ops['generateEpochKey']>): Promise<Answer> {
    return hsmAnswer(this.breaker, async () => {
      const recipient = Object.hasOwn(this.recovery.trusted, group) ? this.recovery.trusted[group] : undefined;
      if (recipient === undefined)
        throw new ProblemError('ERR_BACKUP_REFUSED', `trust.json of this worker names no recovery group ${group}.`);
      const token = this.tokens.ofRoot(label);
      const root = token.findTokenKey(rootLabel, 'secret');
      const made = token.generateKek(root);
      const escrow = token.wrapToRecipient({
        ...{ ...made, algorithm, wrappingKey: root },
        ...{ recipient: Buffer.from(recipient, 'base64url'), scheme: transport },
      });
      return { epochKey: { rootLabel, ...named(label), ...encoded(made) }, escrow: escrow.toString('base64url') };
    });
  }

  @MessagePattern(backupHsmOperations.moveEpochKey.name)
  moveEpochKey(@Payload() { epochKey, rootLabel, token }: Request<Ops['moveEpochKey']>): Promise<Answer> {
    return hsmAnswer(this.breaker, () => underRoot(this.tokens, epochKey, { rootLabel, token }, 'the key of the epoch'));
  }

  @MessagePattern(backupHsmOperations.generateBackupKey.name)
  generateBackupKey(@Payload() { epochKey }: Request<Ops['generateBackupKey']>): Promise<Answer> {
    return hsmAnswer(this.breaker, async () =>
      encoded(this.keys.tokenOfKek(epochKey).generateWrapped({ algorithm, wrappingKey: this.epoch(epochKey) })),
    );
  }

  @MessagePattern(backupHsmOperations.sealBackup.name)
  sealBackup(@Payload() { plaintext, ...chunk }: Request<Ops['sealBackup']>): Promise<Answer> {
    return hsmAnswer(this.breaker, async () => {
      const sealed = await this.withDataKey(chunk, (key, token) =>
        token.use.encryptGcm(() => key, ivOf(chunk.n), aadOf(chunk), Buffer.from(plaintext, 'base64url')),
      );
      return { sealed: sealed.toString('base64url') };
    });
  }

  @MessagePattern(backupHsmOperations.openBackup.name)
  openBackup(@Payload() { sealed, ...chunk }: Request<Ops['openBackup']>): Promise<Answer> {
    return hsmAnswer(this.breaker, async () => {
      const opened = await this.withDataKey(chunk, (key, token) =>
        token.use.decryptGcm(() => key, ivOf(chunk.n), aadOf(chunk), Buffer.from(sealed, 'base64url')),
      );
      return { opened: opened.toString('base64url') };
    });
  }

  @MessagePattern(backupHsmOperations.keksToEpoch.name)
  keksToEpoch(@Payload() { epochKey, keks }: Request<Ops['keksToEpoch']>): Promise<Answer> {
    return hsmAnswer(this.breaker, async () => {
      const to = this.keys.tokenOfKek(epochKey);
      const gone = [];
      for (const kek of keks) {
        const from = this.keys.tokenOfKek(kek);
        const under = () => from.findTokenKey(kek.rootLabel, 'secret');
        gone.push(encoded(await passed(from, { ...decoded(kek), under }, to, () => this.epoch(epochKey))));
      }
      return { keks: gone };
    });
  }

  @MessagePattern(backupHsmOperations.keksFromEpoch.name)
  keksFromEpoch(@Payload() { epochKey, keks, rootLabel = firstRoot, token: label }: Request<Ops['keksFromEpoch']>): Promise<Answer> {
    return hsmAnswer(this.breaker, async () => {
      const [from, to] = [this.keys.tokenOfKek(epochKey), this.tokens.ofRoot(label)];
      const come = [];
      for (const kek of keks) {
        const key = { ...decoded(kek), under: () => this.epoch(epochKey) };
        const material = await passed(from, key, to, () => to.findTokenKey(rootLabel, 'secret'));
        come.push({ rootLabel, ...named(label), ...encoded(material) });
      }
      return { keks: come };
    });
  }

  @MessagePattern(backupHsmOperations.makeCanaries.name)
  makeCanaries(@Payload() { kek, versions }: Request<Ops['makeCanaries']>): Promise<Answer> {
    return hsmAnswer(this.breaker, async () => ({
      canaries: await this.ofEach(
        versions,
        this.keys.tokenOfKek(kek),
        () => this.keys.unwrapKek('of canaries', kek),
        makeCanary,
        () => null,
      ),
    }));
  }

  @MessagePattern(backupHsmOperations.checkCanaries.name)
  checkCanaries(@Payload() { kek, versions }: Request<Ops['checkCanaries']>): Promise<Answer> {
    return hsmAnswer(this.breaker, async () => {
      const check = (token: Token, kekOf: () => KeyHandle) => this.ofEach(versions, token, kekOf, checkCanary, (why) => why);
      if ('underRoot' in kek)
        return { found: await check(this.keys.tokenOfKek(kek.underRoot), () => this.keys.unwrapKek('of canaries', kek.underRoot)) };
      const token = this.keys.tokenOfKek(kek.epochKey);
      const inBackup = token.unwrap({ ...decoded(kek.inBackup), algorithm, wrappingKey: this.epoch(kek.epochKey), usage: 'wrap' });
      try {
        return { found: await check(token, () => inBackup) };
      } finally {
        token.destroyObject(inBackup);
      }
    });
  }

  /** It lies under the root as a KEK does. */
  private epoch(epochKey: UnderRoot): KeyHandle {
    return this.keys.unwrapKek('of backups', epochKey);
  }

  private async withDataKey<T>(
    { epochKey, dataKey }: { epochKey: UnderRoot; dataKey: Wrapped },
    use: (key: KeyHandle, token: Token) => T | Promise<T>,
  ): Promise<T> {
    const token = this.keys.tokenOfKek(epochKey);
    const key = token.unwrap({ ...decoded(dataKey), algorithm, wrappingKey: this.epoch(epochKey), usage: 'encrypt' });
    try {
      return await use(key, token);
    } finally {
      token.destroyObject(key);
    }
  }

  /** Each version as a session object that lives as long as `use` takes. */
  private async ofEach<T>(
    versions: readonly CanarySubject[],
    token: Token,
    kek: () => KeyHandle,
    use: (token: Token, key: KeyHandle, subject: CanarySubject) => Promise<T>,
    otherwise: (why: string) => T,
  ): Promise<T[]> {
    const results: T[] = [];
    for (const [i, subject] of versions.entries()) {
      if (i > 0 && i % inOneTurn === 0) await new Promise((resolve) => setImmediate(resolve));
      const { material, usage } = subject;
      if (material.custody !== 'wrapped') {
        results.push(otherwise('its material stays in its token'));
        continue;
      }
      let key: KeyHandle;
      try {
        key = token.unwrap({ ...decoded(material), algorithm: subject.algorithm, wrappingKey: kek(), usage });
      } catch (error) {
        const why = unwrapVerdict(error);
        if (why === undefined) throw error;
        results.push(otherwise(why));
        continue;
      }
      try {
        results.push(await use(token, key, subject));
      } finally {
        token.destroyObject(key);
      }
    }
    return results;
  }
}

/** SP 800-38D §8.2.1: the number of the chunk, under a key that seals one backup. */
function ivOf(n: number): Buffer {
  const iv = Buffer.alloc(12);
  iv.writeBigUInt64BE(BigInt(n), 4);
  return iv;
}
const aadOf = ({ backupId, n }: { backupId: string; n: number }) => Buffer.from(`${backupId}#${n}`);
/** Where nothing was said of the token, nothing is. */
const named = (token: string | undefined) => (token === undefined ? {} : { token });
