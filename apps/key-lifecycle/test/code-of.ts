import { ProblemError } from '@claviger/contracts';

/** The code that it is refused with, or `OK`. */
export const codeOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    if (error instanceof ProblemError) return error.code;
    throw error;
  }
  return 'OK';
};
