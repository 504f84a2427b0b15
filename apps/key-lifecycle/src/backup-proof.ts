import type { CanarySubject, KekInBackup, KekMaterial, Proof } from '@claviger/contracts';
import type { BackupHsm } from './backup-hsm';
import type { BackupReader } from './backup-reader';
import { provable } from './provable';

const batch = 64;
const listed = 100;

/** What was found of the versions that were looked at. */
export class Findings {
  proven = 0;
  failures = 0;
  readonly failed: Proof['failed'] = [];

  add({ keyId, version }: Pick<CanarySubject, 'keyId' | 'version'>, found: string): void {
    if (found === 'ok') {
      this.proven++;
      return;
    }
    this.failures++;
    if (this.failed.length < listed) this.failed.push({ keyId, version, detail: found });
  }
}

/** Looks at versions in batches of one KEK each. */
export class Prover {
  readonly findings = new Findings();
  private readonly waiting = new Map<string, CanarySubject[]>();

  constructor(private readonly check: (kekId: string, subjects: CanarySubject[]) => Promise<string[]>) {}

  async add({ kekId, subject }: { kekId: string; subject: CanarySubject }): Promise<void> {
    const waiting = this.waiting.get(kekId) ?? [];
    waiting.push(subject);
    this.waiting.set(kekId, waiting);
    if (waiting.length >= batch) await this.flush(kekId);
  }

  async finish(): Promise<Findings> {
    for (const kekId of this.waiting.keys()) await this.flush(kekId);
    return this.findings;
  }

  private async flush(kekId: string): Promise<void> {
    const subjects = this.waiting.get(kekId) ?? [];
    this.waiting.set(kekId, []);
    if (subjects.length === 0) return;
    const found = await this.check(kekId, subjects);
    for (const [i, subject] of subjects.entries()) this.findings.add(subject, found[i] ?? 'the token said nothing about it');
  }
}

/**
 * Every key in a backup, proven in the token: its KEK comes out from under the epoch's key, its material from under the KEK, and its canary, or its public
 * half, says whether that is the right one. Nothing of it is stored, and nothing leaves the token.
 * @throws BackupDamaged, TamperedDocument
 */
export async function proveBackup(
  reader: BackupReader,
  epochKey: KekMaterial,
  hsm: Pick<BackupHsm, 'checkCanaries'>,
  progress: (keys: number) => Promise<void>,
): Promise<Omit<Proof, 'at' | 'tookMs'>> {
  const keks = await reader.keks();
  const prover = new Prover((kekId, subjects) => {
    const kek: KekInBackup | undefined = keks.get(kekId);
    if (!kek?.material) return Promise.resolve(subjects.map(() => `its KEK ${kekId} is not in the backup`));
    return hsm.checkCanaries({ epochKey, inBackup: kek.material }, subjects);
  });
  let keys = 0;
  for await (const { entry, key } of reader.keys()) {
    for (const one of provable(key, entry.canaries)) await prover.add(one);
    if (++keys % 500 === 0) await progress(keys);
  }
  const { proven, failures, failed } = await prover.finish();
  const { counts } = reader.whole.manifest;
  const isAll = keys === counts.keys && proven + failures === counts.proven;
  return { ok: failures === 0 && isAll, keys, proven, failed, failures };
}
