interface Waiting<I, O> {
  input: I;
  resolve: (output: O) => void;
  reject: (error: unknown) => void;
}

/** What comes of one input of many: another's failure is not its own. */
export type Outcome<O> = { value: O } | { error: unknown };

/** A batch is decided in several turns of the event loop, which others have their turns between. */
export const shortly = (begin: () => void): void => void setTimeout(begin, 3);

/**
 * What is asked for side by side is done together, at most `atMost` by one call of `perform`: all of one turn of the event loop, or what comes until `later`
 * calls back. Each has its own outcome; where `perform` throws, all of it failed.
 */
export class Gathering<I, O> {
  private waiting: Waiting<I, O>[] = [];

  constructor(
    private readonly atMost: number,
    private readonly perform: (inputs: I[]) => Promise<readonly Outcome<O>[]>,
    private readonly later: (begin: () => void) => void = setImmediate,
  ) {}

  ask(input: I): Promise<O> {
    return new Promise((resolve, reject) => {
      if (this.waiting.push({ input, resolve, reject }) === 1) this.later(() => this.begin());
    });
  }

  private begin(): void {
    const all = this.waiting;
    this.waiting = [];
    for (let from = 0; from < all.length; from += this.atMost) void this.together(all.slice(from, from + this.atMost));
  }

  private async together(some: readonly Waiting<I, O>[]): Promise<void> {
    try {
      const outcomes = await this.perform(some.map(({ input }) => input));
      for (const [i, { resolve, reject }] of some.entries()) {
        const outcome = outcomes[i];
        if (outcome && 'value' in outcome) resolve(outcome.value);
        else reject(outcome ? outcome.error : new Error('no outcome'));
      }
    } catch (error) {
      for (const { reject } of some) reject(error);
    }
  }
}
