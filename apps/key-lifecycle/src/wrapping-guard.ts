import { type KeysView, limits, ProblemError } from '@claviger/contracts';
import type { KvView } from '@claviger/messaging';
import type { BackupStore } from './backup-store';
import type { JobStore } from './job-store';
import { isLiving } from './kek';
import type { KekStore } from './kek-store';

export interface WrappingGuardParts {
  keks: Pick<KekStore, 'all'>;
  jobs: Pick<JobStore, 'list'>;
  /** Read whether or not this replica makes backups: others may, or did. */
  backups: Pick<BackupStore, 'restore' | 'epochsOrThrow'>;
  view: Pick<KvView<KeysView>, 'values' | 'fresh'>;
}

/** What must be so before what wraps others is rotated or destroyed. What is not known counts as against it. */
export class WrappingGuard {
  constructor(private readonly parts: WrappingGuardParts) {}

  /** Keys that are restored later are under KEKs of the backup: until all are there, nothing may end those. Throws ERR_CONFLICT, TamperedDocument. */
  async assertNoRestore(): Promise<void> {
    const restore = await this.parts.backups.restore();
    if (!restore || restore.state === 'complete') return;
    throw new ProblemError(
      'ERR_CONFLICT',
      `The restore from ${restore.backupId} is ${restore.state}: what wraps its keys stays until it is complete. Ask for it again.`,
    );
  }

  /** Throws ERR_KEY_STATE while anything is under this root or about to be, ERR_STATE_STALE, TamperedDocument. */
  async assertNothingUnder(label: string): Promise<void> {
    const { keks, jobs, backups, view } = this.parts;
    // Their KEKs are all read before it is fresh.
    if (!view.fresh()) throw new ProblemError('ERR_STATE_STALE', 'What the workers have is not known just now.');
    const under = (await keks.all()).filter((kek) => isLiving(kek) && kek.material.rootLabel === label);
    if (under.length > 0)
      throw new ProblemError(
        'ERR_KEY_STATE',
        `${under.length} KEKs are under ${label}, such as ${under[0]!.kekId}: let the rotation end first.`,
      );
    for (const record of view.values())
      if (record.kind === 'kek' && record.material?.rootLabel === label)
        throw new ProblemError('ERR_KEY_STATE', `Workers have ${record.kekId} under ${label}: let the rotation end first.`);
    const epoch = (await backups.epochsOrThrow()).find(({ epochKey }) => epochKey?.rootLabel === label);
    if (epoch !== undefined)
      throw new ProblemError(
        'ERR_KEY_STATE',
        `The key of epoch ${epoch.epoch} of backups is under ${label}: it follows the KEKs in a moment.`,
      );
    const job = (await jobs.list(limits.listPage)).find(({ to, state }) => to === label && state !== 'done');
    if (job) {
      const next = job.state === 'failed' ? 'resume it (claviger jobs resume), and let it end' : 'let it end first';
      throw new ProblemError('ERR_KEY_STATE', `${job.jobId} puts KEKs under ${label} and is ${job.state}: ${next}.`);
    }
  }
}
