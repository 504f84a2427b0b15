import { fork } from 'node:child_process';
import { builtProgram } from '@claviger/testing';
import type { Answered, Call } from './token-process';

/** A token in a process of its own, to be told what to do while faults are commanded from here. */
export interface RemoteToken {
  ask(call: Call): Promise<Answered>;
  stop(): Promise<void>;
}

/** `env`: of the fault token and of SoftHSM; `token`: which one it opens. */
export async function startRemoteToken(
  env: Record<string, string>,
  token: { libraryPath: string; label: string; pin: string },
): Promise<RemoteToken> {
  const child = fork(await builtProgram('test/fault-token/token-process.ts'), {
    env: { ...process.env, ...env, HSM_LIBRARY: token.libraryPath, HSM_LABEL: token.label, HSM_PIN: token.pin },
  });
  const waiting = new Map<number, { resolve: (answered: Answered) => void; reject: (error: Error) => void }>();
  let asked = 0;
  child.on('message', (answered: Answered) => {
    waiting.get(answered.id)?.resolve(answered);
    waiting.delete(answered.id);
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.once('exit', (code, signal) => {
    for (const { reject } of waiting.values()) reject(new Error(`the process of the token ended with ${code ?? signal}`));
  });
  return {
    ask: (call) =>
      new Promise((resolve, reject) => {
        const id = asked++;
        waiting.set(id, { resolve, reject });
        child.send({ id, call });
      }),
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await ended;
    },
  };
}
