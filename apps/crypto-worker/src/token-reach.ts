import type { Distance } from '@claviger/hsm';
import { ConfigurationError } from '@claviger/operability';
import type { TokenReach } from '@claviger/service';
import type { Config } from './config';

/** File and name look-ups, and what else libuv does on its threads. */
const otherThreads = 4;
const libuvThreads = 4;

/** What is the same for all tokens of a worker that are far. */
export type FarReach = Pick<Config, 'HSM_SESSIONS' | 'HSM_ANSWER_SECONDS'>;

/**
 * How calls reach a token. One that is far has as many calls in flight as sessions, each on a thread of libuv, of which there are as many as the
 * environment said when the process started.
 * @throws ConfigurationError UV_THREADPOOL_SIZE
 */
export function reachOf(distance: Distance, far: FarReach, environment: NodeJS.ProcessEnv = process.env): TokenReach {
  if (distance === 'near') return {};
  const { HSM_SESSIONS: sessions, HSM_ANSWER_SECONDS: answerSeconds } = far;
  const threads = Number(environment.UV_THREADPOOL_SIZE ?? libuvThreads);
  if (!(threads >= sessions + otherThreads))
    throw new ConfigurationError([
      `UV_THREADPOOL_SIZE: must be at least ${sessions + otherThreads} for ${sessions} sessions of a token that is far (HSM_SESSIONS)`,
    ]);
  return { distance, asyncSessions: sessions, answerMs: answerSeconds * 1_000 };
}
