import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Trust } from '@claviger/contracts';
import type { LogState } from '@claviger/ledger';
import { writePrivately } from './files';

/** What an earlier run may leave out: the state of its verifier, or why that cannot be used. */
export type Resumable = { readonly state: LogState } | { readonly doubt: string };

/** Beside the checkpoint that it belongs to. */
const stateFile = (memoryFile: string) => `${memoryFile}.state`;
const digest = (bytes: string) => createHash('sha256').update(bytes).digest('base64url');
/** What was verified with other keys was not verified with these. */
const keysOf = ({ certifiers, ledger }: Trust) => digest(JSON.stringify([Object.entries(certifiers).sort(), ledger]));

/** Gives the digest that the remembered checkpoint names it by. To be written before that checkpoint, so that no checkpoint names a state that is not there. */
export function keepState(memoryFile: string, state: LogState, trust: Trust): string {
  const text = JSON.stringify({ keys: keysOf(trust), state });
  writePrivately(stateFile(memoryFile), text);
  return digest(text);
}

/** The state of the digest that a remembered checkpoint names. Whatever is not exactly what was kept is a doubt, never an error: the ledger can be read anew. */
export function recallState(memoryFile: string, named: string, trust: Trust): Resumable {
  const file = stateFile(memoryFile);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    return { doubt: `${file} cannot be read (${(error as NodeJS.ErrnoException).code})` };
  }
  if (digest(text) !== named) return { doubt: `${file} is not what was kept for the remembered checkpoint` };
  const { keys, state } = JSON.parse(text) as { keys: string; state: LogState };
  return keys === keysOf(trust) ? { state } : { doubt: 'trust.json holds other keys than then' };
}
