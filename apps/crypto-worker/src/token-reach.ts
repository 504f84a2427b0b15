import type { Distance } from '@claviger/hsm';
import { ConfigurationError } from '@claviger/operability';
import type { TokenReach } from '@claviger/service';
import type { Config } from './config';

/** File and name look-ups, and what else libuv does on its threads. */
const otherThreads = 4;
const libuvThreads = 4;
/** libuv starts no more, whatever UV_THREADPOOL_SIZE says. */
const libuvThreadsMax = 1_024;

/** What is the same for all tokens of a worker that are far. */
export type FarReach = Pick<Config, 'HSM_SESSIONS' | 'HSM_ANSWER_SECONDS'>;

/** How calls reach a token. One that is far has as many calls in flight as sessions. */
export const reachOf = (distance: Distance, far: FarReach): TokenReach =>
  distance === 'near' ? {} : { distance, asyncSessions: far.HSM_SESSIONS, answerMs: far.HSM_ANSWER_SECONDS * 1_000 };

/**
 * Each call in flight to a far token holds a thread of libuv: with fewer threads than sessions, one token that hangs would leave the others none.
 * @param distances of all tokens of the worker; each far one has an urgent session beside HSM_SESSIONS
 * @throws ConfigurationError UV_THREADPOOL_SIZE, HSM_SESSIONS
 */
export function assertThreads(
  distances: readonly Distance[],
  { HSM_SESSIONS: sessions }: FarReach,
  environment: NodeJS.ProcessEnv = process.env,
): void {
  const tokens = distances.filter((distance) => distance === 'far').length;
  if (tokens === 0) return;
  const wanted = tokens * (sessions + 1) + otherThreads;
  const asked = `${tokens} far ${tokens === 1 ? 'token' : 'tokens'} of ${sessions} sessions (HSM_SESSIONS) and an urgent one`;
  if (wanted > libuvThreadsMax)
    throw new ConfigurationError([
      `HSM_SESSIONS: must be at most ${Math.floor((libuvThreadsMax - otherThreads) / tokens) - 1} for ${tokens} far tokens, since there are at most ${libuvThreadsMax} threads`,
    ]);
  const threads = Number(environment.UV_THREADPOOL_SIZE ?? libuvThreads);
  if (!(threads >= wanted)) throw new ConfigurationError([`UV_THREADPOOL_SIZE: must be at least ${wanted} for ${asked}`]);
}
