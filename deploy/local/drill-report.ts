import type { BackupDescription, RestoreDescription } from '@claviger/contracts';

export interface DrillReport {
  ok: boolean;
  startedAt: string;
  machine: { cores: number; library: string };
  keys: number;
  backup: Pick<BackupDescription, 'backupId' | 'bytes' | 'counts' | 'verified' | 'ledgerSize' | 'keysInToken'> & { madeMs: number };
  restore: RestoreDescription;
  /** Seconds from the loss of the site to the first answer to an application at the new one, and what of it went where. */
  rtoSeconds: number;
  steps: { step: string; seconds: number }[];
  /** Seconds: age of the newest change that the backup lacks, when the site was lost. */
  rpoSeconds: number;
  checks: { check: string; ok: boolean; detail: string }[];
}

const yes = (ok: boolean) => (ok ? 'yes' : '**NO**');

/** For people. */
export function markdownOf(report: DrillReport): string {
  const { backup, restore, checks, steps } = report;
  const { proof, restored } = restore;
  const counts = backup.counts;
  return `${[
    `# Disaster recovery drill, ${report.startedAt}`,
    `**${report.ok ? 'Passed' : 'FAILED'}.** ${report.keys} keys, ${report.machine.cores} cores, ${report.machine.library}. The site was lost with its tokens; another with new tokens was restored from backup \`${backup.backupId}\`.`,
    '| | |\n|---|---|',
    [
      `| RTO: from the loss to the first answer to an application | ${report.rtoSeconds.toFixed(1)} s |`,
      `| RPO: age of the newest change that was lost | ${report.rpoSeconds.toFixed(1)} s |`,
      `| keys proven by their canary or public half | ${proof?.proven ?? 0} of ${counts?.proven ?? 0} versions${proof && proof.failures > 0 ? `, **${proof.failures} not**` : ''} |`,
      `| restored | ${restored?.usable ?? 0} usable, ${restored?.suspended ?? 0} suspended, ${restored?.destroyed ?? 0} destroyed; ${restored?.rotated ?? 0} rotated |`,
      `| backup | ${backup.bytes ?? 0} bytes, made in ${(backup.madeMs / 1_000).toFixed(1)} s, verified in ${((backup.verified?.tookMs ?? 0) / 1_000).toFixed(1)} s |`,
      `| not in the backup, since it stays in its token | ${counts?.inToken ?? 0} versions |`,
    ].join('\n'),
    '## Where the time went',
    '| step | seconds |\n|---|---|',
    steps.map(({ step, seconds }) => `| ${step} | ${seconds.toFixed(1)} |`).join('\n'),
    '## What was checked',
    '| check | ok | |\n|---|---|---|',
    checks.map(({ check, ok, detail }) => `| ${check} | ${yes(ok)} | ${detail} |`).join('\n'),
  ]
    .join('\n\n')
    .replaceAll('|---|---|\n\n', '|---|---|\n')
    .replaceAll('|---|---|---|\n\n', '|---|---|---|\n')}\n`;
}
