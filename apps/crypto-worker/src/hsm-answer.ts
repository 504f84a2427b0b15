import type { Answer } from '@claviger/messaging';
import { toProblem } from './problem';
import type { TokenBreaker } from './token-breaker';

/** An answer to key-lifecycle from the first token: nothing is asked of one that the breaker holds for failing, and it hears of what failed. */
export async function hsmAnswer(breaker: TokenBreaker, make: () => unknown): Promise<Answer> {
  breaker.assertClosed();
  try {
    return { result: await make() };
  } catch (error) {
    breaker.observe(error);
    throw toProblem(error);
  }
}
