/** Who writes a chain of batches: one start of one worker of one service. Each name is 1 to 64 of letters, digits, `.`, `_`, `-`. */
export type ChainId = { readonly service: string; readonly worker: string; readonly epoch: string };

/** Source of the pattern, for the exact-form lines that hold such names: no quote, no escape, no newline can be in one. */
export const NAME = '[A-Za-z0-9][A-Za-z0-9._-]{0,63}';
const EXACT_NAME = new RegExp(`^${NAME}$`);

export const isChainId = ({ service, worker, epoch }: ChainId): boolean => [service, worker, epoch].every((name) => EXACT_NAME.test(name));
export const isSameChain = (a: ChainId, b: ChainId): boolean => a.service === b.service && a.worker === b.worker && a.epoch === b.epoch;
