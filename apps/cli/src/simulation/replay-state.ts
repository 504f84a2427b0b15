import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { CommandError } from '../exit-codes';
import { writePrivately } from '../files';
import { emptyTally, type Tally } from './changed-decisions';

const State = z.strictObject({
  simulation: z.string(),
  next: z.int().min(0),
  tally: z.looseObject({ changed: z.array(z.any()), undecidable: z.array(z.any()) }),
});

/** Names one simulation: the candidate, what it is replayed against and from where. Another one does not go on from its state. */
export const simulationName = (...parts: readonly unknown[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('base64url');

export function keepReplay(file: string, simulation: string, next: number, tally: Tally): void {
  writePrivately(
    file,
    JSON.stringify({ simulation, next, tally: { ...tally, changed: [...tally.changed], undecidable: [...tally.undecidable] } }),
  );
}

/** Undefined where there is none yet. @throws CommandError when it is of another simulation, or damaged */
export function recallReplay(file: string, simulation: string): { next: number; tally: Tally } | undefined {
  if (!existsSync(file)) return undefined;
  let state: z.infer<typeof State>;
  try {
    state = State.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    throw new CommandError('badInput', `${file} is no state of a simulation`, 'Give another --state-file, or delete it.');
  }
  if (state.simulation !== simulation)
    throw new CommandError(
      'badInput',
      `${file} is the state of another simulation (candidate, keys or period)`,
      'Give another --state-file, or delete it.',
    );
  const { changed, undecidable, ...counts } = state.tally;
  return { next: state.next, tally: { ...emptyTally(), ...counts, changed: new Map(changed), undecidable: new Map(undecidable) } as Tally };
}
