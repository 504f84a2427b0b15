import type { Distance } from '@claviger/hsm';
import { ConfigurationError } from '@claviger/operability';
import type { TokenReach } from '@claviger/service';

/** File and name look-ups, and what else libuv does on its threads. */
const otherThreads = 4;
const libuvThreads = 4;

/**
 * How calls reach a token. One that is far has as many calls in flight as sessions, each on a thread of libuv, of which there are as many as the
 * environment said when the process started.
 * @throws ConfigurationError UV_THREADPOOL_SIZE
 */
export function reachOf(distance: Distance, sessions: number, environment: NodeJS.ProcessEnv = process.env): TokenReach {
  if (distance === 'near') return {};
  const threads = Number(environment.UV_THREADPOOL_SIZE ?? libuvThreads);
  if (!(threads >= sessions + otherThreads))
    throw new ConfigurationError([
      `UV_THREADPOOL_SIZE: must be at least ${sessions + otherThreads} for ${sessions} sessions of a token that is far (HSM_SESSIONS)`,
    ]);
  return { distance, asyncSessions: sessions };
}
