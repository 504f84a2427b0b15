import { setTimeout } from 'node:timers/promises';
import type { Client } from '@claviger/client';
import type { JobDescription, JobState } from '@claviger/contracts';
import type { Command } from 'commander';
import { Finding } from '../exit-codes';
import { isEnded, progressBar, progressLine } from '../job-progress';
import type { Output } from '../output';
import { wholeNumber } from '../pairs';
import { online } from '../run';

const watchEveryMs = 1_000;

/** Jobs go on by themselves, whoever looks at them. */
export function jobsCommands(program: Command): void {
  const jobs = program.command('jobs').description('jobs that rewrap keys: look, pause, resume');
  jobs
    .command('list')
    .description('the newest first')
    .option('--state <state>', 'running, paused, done or failed')
    .option('--limit <n>', 'at most this many', '100')
    .action(
      online<{ state?: string; limit: string }>(async ({ client, options: { state, limit }, output }) => {
        const found = (await client.keys.listJobs({ limit: wholeNumber('--limit', limit), ...(state ? { state: state as JobState } : {}) }))
          .jobs;
        output.table(found, found, [
          { title: 'JOB', value: ({ jobId }) => jobId },
          { title: 'KIND', value: ({ kind }) => kind },
          { title: 'STATE', value: (job) => job.state },
          { title: 'PHASE', value: ({ phase }) => phase },
          { title: 'DONE', value: ({ done, total }) => `${done}/${total}` },
          { title: 'FAILED', value: ({ failed }) => failed },
          { title: 'STARTED', value: ({ startedAt }) => startedAt },
          { title: 'BY', value: ({ startedBy }) => startedBy },
        ]);
      }),
    );
  withWatch(jobs.command('show <job>').description('how far it is; exit 1 when it failed')).action(
    online<Watch, [string]>(async ({ client, options, output }, jobId) =>
      tellJob(client, await client.keys.describeJob({ jobId }), options, output),
    ),
  );
  jobs
    .command('pause <job>')
    .description('stop it where it is; what it has done stands')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .action(
      online<{ reason: string }, [string]>(async ({ client, options: { reason }, output }, jobId) =>
        tellJob(client, await client.keys.pauseJob({ jobId, reason }), {}, output),
      ),
    );
  withWatch(
    jobs
      .command('resume <job>')
      .description('let one that was paused, or failed, go on')
      .requiredOption('--reason <text>', 'goes into the ledger'),
  ).action(
    online<Watch & { reason: string }, [string]>(async ({ client, options, output }, jobId) =>
      tellJob(client, await client.keys.resumeJob({ jobId, reason: options.reason }), options, output),
    ),
  );
}

export interface Watch {
  watch?: boolean;
}
export const withWatch = (command: Command): Command => command.option('--watch', 'follow it until it ends; to stop looking stops nothing');

/** Followed: a bar on a terminal, else a line whenever something changed; then how it ended. */
export async function tellJob(client: Client, first: JobDescription, { watch }: Watch, output: Output): Promise<void> {
  let job = first;
  let said = '';
  while (watch && !isEnded(job)) {
    const line = progressLine(job);
    if (output.onTerminal) output.progress(progressBar(job));
    else if (line !== said) output.note(line);
    said = line;
    await setTimeout(watchEveryMs);
    job = await client.keys.describeJob({ jobId: job.jobId });
  }
  output.progress(undefined);
  describe(job, output);
  if (job.state === 'failed') throw new Finding(`${job.jobId} failed: ${job.trouble?.detail ?? `${job.failed} could not be done`}`);
}

function describe(job: JobDescription, output: Output): void {
  const { environment, classification, from, failures, trouble, receipt: _, ...rest } = job as JobDescription & { receipt?: unknown };
  output.fields(job, {
    job: rest.jobId,
    kind: rest.kind,
    of: environment && `${environment} ${classification}`,
    state: rest.state,
    phase: rest.phase,
    to: rest.token === undefined ? rest.to : `${rest.to} in token ${rest.token}`,
    from: from.join(', ') || undefined,
    done: `${rest.done} of ${rest.total}${rest.perSecond === undefined ? '' : `, ${rest.perSecond}/s`}`,
    failed: rest.failed || undefined,
    'keys that stay': rest.stays && `${rest.stays}, as objects of the token that is left (claviger keys list --custody token)`,
    'waits until': rest.waitsUntil,
    trouble: trouble && `${trouble.code} at ${trouble.at}: ${trouble.detail}`,
    reason: rest.reason,
    'started by': rest.startedBy,
    started: rest.startedAt,
    finished: rest.finishedAt,
  });
  for (const { id, code, detail } of failures) output.note(`FAILED ${id} ${code}: ${detail}`);
}
