/**
 * How every service talks to the document store (options of its driver, milliseconds): writes are on disk before they count, and a connection that a
 * restarted store left half open is given up by the heartbeat within 4 s, by a call in 10 s.
 */
export const storeOptions = {
  serverSelectionTimeoutMS: 2_000,
  connectTimeoutMS: 2_000,
  heartbeatFrequencyMS: 2_000,
  socketTimeoutMS: 10_000,
  waitQueueTimeoutMS: 10_000,
  writeConcern: { w: 'majority', journal: true },
  ignoreUndefined: true,
} as const;

/** The document store gave no answer: whether what was asked of it was written is unknown. */
export class StoreSilent extends Error {
  override readonly name = 'StoreSilent';
}

/** Longer than the driver's own time limits, which say more about what went wrong. */
const patienceMs = 15_000;

/**
 * A write to the document store that is given up after `ms`.
 * What the kernel does not take at once waits for the socket to drain, and the driver (mongodb 7.9) waits for ever when that connection is closed
 * meanwhile: its time limits close the connection but do not end the wait. So each write that may be larger than a socket's buffers goes through here.
 * @throws StoreSilent
 */
export async function givenUpAfter<T>(write: Promise<T>, ms: number = patienceMs): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new StoreSilent(`the document store did not answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([write, silence]);
  } finally {
    clearTimeout(timer);
  }
}
