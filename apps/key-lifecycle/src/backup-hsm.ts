import {
  backupHsmOperations,
  type CanarySubject,
  canariesPerRequest,
  type KekMaterial,
  ProblemError,
  type Result,
  type Wrapped,
} from '@claviger/contracts';
import { askInternal } from '@claviger/messaging';
import type { NatsConnection } from '@nats-io/transport-node';
import type { RootName } from './root';

type Ops = typeof backupHsmOperations;
type UnderRoot = KekMaterial;
export interface Chunks {
  epochKey: UnderRoot;
  dataKey: Wrapped;
  backupId: string;
}

const timeoutMs = 10_000;
/** A worker that restarts, or a token that is probed, is waited for: a backup of an hour must not end for it. */
const attempts = 30;
const pauseMs = 1_000;

/** What backups ask of the token, of any crypto-worker. Everything here may be asked twice. */
export class BackupHsm {
  constructor(
    private readonly connection: NatsConnection,
    private readonly pause: (ms: number) => Promise<void> = (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  ) {}

  /** An epoch's key under the root, and to the recovery group. */
  generateEpochKey(group: string, root: RootName | undefined): Promise<Result<Ops['generateEpochKey']>> {
    return this.ask(backupHsmOperations.generateEpochKey, { group, ...root });
  }

  moveEpochKey(epochKey: UnderRoot, root: RootName): Promise<UnderRoot> {
    return this.ask(backupHsmOperations.moveEpochKey, { epochKey, ...root });
  }

  generateBackupKey(epochKey: UnderRoot): Promise<Wrapped> {
    return this.ask(backupHsmOperations.generateBackupKey, { epochKey });
  }

  async seal(chunks: Chunks, n: number, plaintext: Buffer): Promise<string> {
    return (await this.ask(backupHsmOperations.sealBackup, { ...chunks, n, plaintext: plaintext.toString('base64url') })).sealed;
  }

  async open(chunks: Chunks, n: number, sealed: string): Promise<Buffer> {
    return Buffer.from((await this.ask(backupHsmOperations.openBackup, { ...chunks, n, sealed })).opened, 'base64url');
  }

  keksToEpoch(epochKey: UnderRoot, keks: readonly UnderRoot[]): Promise<Wrapped[]> {
    return inParts(keks, async (part) => (await this.ask(backupHsmOperations.keksToEpoch, { epochKey, keks: part })).keks);
  }

  keksFromEpoch(epochKey: UnderRoot, keks: readonly Wrapped[], root: RootName | undefined): Promise<UnderRoot[]> {
    return inParts(keks, async (part) => (await this.ask(backupHsmOperations.keksFromEpoch, { epochKey, keks: part, ...root })).keks);
  }

  makeCanaries(kek: UnderRoot, versions: readonly CanarySubject[]) {
    return inParts(versions, async (part) => (await this.ask(backupHsmOperations.makeCanaries, { kek, versions: part })).canaries);
  }

  /** Of each version `ok`, or what is wrong with it. */
  checkCanaries(kek: KekOfCanaries, versions: readonly CanarySubject[]): Promise<string[]> {
    return inParts(versions, async (part) => (await this.ask(backupHsmOperations.checkCanaries, { kek, versions: part })).found);
  }

  private async ask<O extends Ops[keyof Ops]>(operation: O, input: Parameters<typeof askInternal<O>>[2]): Promise<Result<O>> {
    for (let attempt = 1; ; attempt++)
      try {
        return await askInternal(this.connection, operation, input, { timeoutMs });
      } catch (error) {
        if (!(error instanceof ProblemError) || !error.retryable || attempt >= attempts) throw error;
        await this.pause(pauseMs);
      }
  }
}
export type KekOfCanaries = { underRoot: UnderRoot } | { epochKey: UnderRoot; inBackup: Wrapped };

async function inParts<T, R>(all: readonly T[], work: (part: T[]) => Promise<R[]>): Promise<R[]> {
  const results: R[] = [];
  for (let i = 0; i < all.length; i += canariesPerRequest) results.push(...(await work(all.slice(i, i + canariesPerRequest))));
  return results;
}
