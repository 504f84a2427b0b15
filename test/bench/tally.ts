import { ClavigerError } from '@claviger/client';
import { answerLine } from './answer-line';
import type { Answer } from './scenarios';

/** What the load generator writes down. Speed and errors are those of the measured time; what was answered, and so must be in the ledger, of all the time. */
export class Tally {
  /** A line for each answer. */
  readonly answered: string[] = [];
  /** Of requests that were done, all items of them. */
  readonly latenciesMs: number[] = [];
  readonly errors: Record<string, number> = {};
  items = 0;
  measuring = false;

  done(requestId: string, answers: readonly Answer[], latencyMs: number): void {
    let isWhole = true;
    for (const answer of answers) {
      if (!('problem' in answer) && answer.receipt) {
        this.answered.push(answerLine(requestId, answer.receipt));
        if (this.measuring) this.items++;
        continue;
      }
      isWhole = false;
      this.#error('problem' in answer ? `item refused: ${codeOf(answer.problem)}` : 'no receipt');
    }
    if (isWhole && this.measuring) this.latenciesMs.push(latencyMs);
  }

  failed(error: unknown): void {
    this.#error(error instanceof ClavigerError ? error.code : 'unexpected');
  }

  #error(name: string): void {
    if (this.measuring) this.errors[name] = (this.errors[name] ?? 0) + 1;
  }
}

const codeOf = (problem: unknown) => String((problem as { code?: unknown } | undefined)?.code ?? 'no code');
