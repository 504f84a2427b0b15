import type { Receipt } from '@claviger/contracts';

/** One answered request, as the load generator writes it down: its id, and where its record lies. */
export const answerLine = (requestId: string, { worker, epoch, seq, index }: Receipt): string =>
  `${requestId} ${worker} ${epoch} ${seq} ${index}`;
