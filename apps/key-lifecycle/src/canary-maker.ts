import { type Canary, ProblemError } from '@claviger/contracts';
import type { BackupHsm } from './backup-hsm';
import type { KeyCanaries } from './backup-records';
import type { BackupStore } from './backup-store';
import { give, type LeaseBounds } from './invocations';
import type { LivingKek } from './kek';
import type { Key, KeyVersion } from './key';
import type { KeyStore } from './key-store';
import { subjectOf, withoutCanary } from './provable';

const attempts = 8;

/** Gives versions that have none their canary, and keeps it: made once, it proves the version in every backup. */
export class CanaryMaker {
  constructor(
    private readonly parts: {
      hsm: Pick<BackupHsm, 'makeCanaries'>;
      backups: Pick<BackupStore, 'canariesOf' | 'putCanaries'>;
      keys: Pick<KeyStore, 'invocations' | 'changeInvocations'>;
      bounds: LeaseBounds;
    },
  ) {}

  /** Of these keys, those that they had and those that were made. Versions that can have none are left out. */
  async of(keys: readonly Key[], kekOf: (kekId: string) => LivingKek | undefined): Promise<Map<string, Readonly<Record<string, Canary>>>> {
    const known = await this.parts.backups.canariesOf(keys.map(({ keyId }) => keyId));
    const canaries = new Map(keys.map(({ keyId }) => [keyId, { ...known.get(keyId)?.canaries }]));
    const lacking = keys.flatMap((key) => withoutCanary(key, canaries.get(key.keyId) ?? {}).map((version) => ({ key, version })));
    const counted = await Promise.all(lacking.map(async (one) => ((await this.count(one)) ? [one] : [])));
    const byKek = Map.groupBy(counted.flat(), ({ version }) => (version.material?.custody === 'wrapped' ? version.material.kekId : ''));
    const changed = new Set<string>();
    for (const [kekId, of] of byKek) {
      const kek = kekOf(kekId);
      if (!kek) continue;
      const made = await this.parts.hsm.makeCanaries(
        kek.material,
        of.map(({ key, version }) => subjectOf(key, version)),
      );
      for (const [i, { key, version }] of of.entries()) {
        const canary = made[i];
        if (!canary) continue;
        (canaries.get(key.keyId) as Record<string, Canary>)[version.version] = canary;
        changed.add(key.keyId);
      }
    }
    await this.parts.backups.putCanaries([...changed].map((keyId): KeyCanaries => ({ keyId, canaries: canaries.get(keyId) ?? {} })));
    return canaries;
  }

  /** An encryption is counted before it happens, as those of callers are. False where the version may encrypt no more. */
  private async count({ key, version }: { key: Key; version: KeyVersion }): Promise<boolean> {
    if (key.usage !== 'encrypt') return true;
    for (let attempt = 0; attempt < attempts; attempt++) {
      const from = await this.parts.keys.invocations(key.keyId);
      if (!from) return false;
      try {
        const { to, outbox } = give(from.invocations, version.version, 1, this.parts.bounds, new Date().toISOString());
        if (await this.parts.keys.changeInvocations(from, to, outbox)) return true;
      } catch (error) {
        if (error instanceof ProblemError && error.code === 'ERR_KEY_EXHAUSTED') return false;
        throw error;
      }
    }
    throw new ProblemError('ERR_CONFLICT', `The encryptions of key ${key.keyId} are counted by others all the time.`);
  }
}
