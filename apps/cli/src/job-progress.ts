import type { JobDescription } from '@claviger/contracts';

const barWidth = 30;

/** 0 to 1; undefined while it is not known how much there is. */
export const shareDone = ({ state, total, done }: Pick<JobDescription, 'state' | 'total' | 'done'>): number | undefined =>
  state === 'done' ? 1 : total === 0 ? undefined : Math.min(1, done / total);

/** `[██████······] 40%  4000/10000  212/s`: one line of a terminal. */
export function progressBar(job: JobDescription): string {
  return `${bar(shareDone(job) ?? 0)}  ${progressLine(job)}`;
}

/** Of a share from 0 to 1. */
export function bar(share: number): string {
  const filled = Math.floor(share * barWidth);
  return `[${'█'.repeat(filled)}${'·'.repeat(barWidth - filled)}] ${Math.floor(share * 100)}%`;
}

/** The same in words, for where there is no terminal. */
export function progressLine(job: JobDescription): string {
  const { state, phase, done, total, failed, perSecond, read, waitsUntil, trouble } = job;
  return [
    state === 'running' ? phase : state,
    `${done}/${total}`,
    ...(perSecond !== undefined && phase === 'rewrapping' ? [`${perSecond}/s`] : []),
    ...(phase === 'checking' && state === 'running' ? [`${read} documents read`] : []),
    ...(phase === 'verifying' && state === 'running' ? [waitsUntil ? `waits until ${waitsUntil}` : `${read} documents read`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(trouble ? [`${trouble.code}: ${trouble.detail}`] : []),
  ].join('  ');
}

export const isEnded = ({ state }: Pick<JobDescription, 'state'>): boolean => state === 'done' || state === 'failed' || state === 'paused';
