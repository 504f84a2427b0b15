import { z } from 'zod';
import { ProblemSchema } from './errors';
import { Receipt } from './primitives';

/** Every reply is one of these two; neither has the `type` of a request. */
export const Reply = z.union([
  z.strictObject({ result: z.unknown(), receipt: Receipt.optional() }),
  z.strictObject({ problem: ProblemSchema, receipt: Receipt.optional() }),
]);
export type Reply = z.infer<typeof Reply>;
