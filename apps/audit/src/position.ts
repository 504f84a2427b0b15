/**
 * Where a message lies: in which life of the AUDIT stream (0 until the stream was found cut or replaced) and at which sequence there. One
 * number, so that it can be a document's `_id` and sorts in the order of appending; in life 0 it is the stream sequence itself.
 */
const sequencesPerLife = 2 ** 40;

export const positionOf = (life: number, streamSeq: number): number => life * sequencesPerLife + streamSeq;
