import { RecordedProblem } from '@claviger/messaging';

/** What an operation answered, without its record. */
export async function resultOf<T = Record<string, string>>(answer: Promise<unknown>): Promise<T> {
  return ((await answer) as { result: T }).result;
}

/** The code that the caller hears, `OK` for a result. */
export const codeOf = (answer: Promise<unknown>): Promise<string> =>
  answer.then(
    () => 'OK',
    (error: unknown) => (error instanceof RecordedProblem ? error.problem.code : ((error as { code?: string }).code ?? String(error))),
  );

/** Bytes as requests carry them. */
export const text = (value: string | Buffer): string => Buffer.from(value as string).toString('base64url');
export const bytes = (value: string | undefined): Buffer => Buffer.from(value ?? '', 'base64url');
