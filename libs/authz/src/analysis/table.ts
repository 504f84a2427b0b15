import type { Action } from '@claviger/contracts';
import type { Domain, Value } from './domain';
import type { Variable } from './readings';
import type { Analysed, Satisfied } from './satisfaction';

/** Situations of one policy beyond which it is not looked at: each is a question to Cedar (about 0.2 ms). */
export const situationsOfOne = 20_000;
/** Situations of one action that are compared at most. */
export const situationsAtMost = 5_000_000;

/** What a policy says of every situation of a domain, as far as it reads it. */
export interface Table {
  readonly analysed: Analysed;
  /** Positions, in the domain's variables, of those that it reads. */
  readonly reads: readonly number[];
  /** `digits` are positions of values, by variable of the domain. */
  readonly at: (digits: readonly number[]) => Satisfied;
}

/** Undefined where there are too many. */
export function tableOf(analysed: Analysed, action: Action, domain: Domain): Table | undefined {
  const reads = domain.variables.flatMap((variable, at) => (analysed.readings.variables.has(variable) ? [at] : []));
  const values = reads.map((at) => domain.values.get(domain.variables[at]!)!);
  const size = product(values.map(({ length }) => length));
  if (size > situationsOfOne) return undefined;
  const strides = values.map((_, at) => product(values.slice(at + 1).map(({ length }) => length)));
  const answers = new Array<Satisfied | undefined>(size);
  return {
    analysed,
    reads,
    at: (digits) => {
      let index = 0;
      for (let i = 0; i < reads.length; i += 1) index += digits[reads[i]!]! * strides[i]!;
      let answer = answers[index];
      if (answer === undefined) {
        answer = analysed.satisfied(action, situationAt(reads, digits, domain));
        answers[index] = answer;
      }
      return answer;
    },
  };
}

export const situationAt = (reads: readonly number[], digits: readonly number[], { variables, values }: Domain): Map<Variable, Value> =>
  new Map(reads.map((at) => [variables[at]!, values.get(variables[at]!)![digits[at]!]]));

export const product = (lengths: readonly number[]): number => lengths.reduce((all, length) => all * length, 1);

/** Every combination of values of these variables, in `digits`. */
export function everyCombination(at: readonly number[], domain: Domain, digits: number[], visit: () => void): void {
  const step = (depth: number): void => {
    if (depth === at.length) {
      visit();
      return;
    }
    const variable = at[depth]!;
    const { length } = domain.values.get(domain.variables[variable]!)!;
    for (let digit = 0; digit < length; digit += 1) {
      digits[variable] = digit;
      step(depth + 1);
    }
    digits[variable] = 0;
  };
  step(0);
}
