import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';

/** `seen`: the token is there and opens a session. `silent`: it did not answer in time. */
export type Look = 'seen' | 'not-seen' | 'silent';

/** Most of it for a busy machine, which takes its time to start a process. */
const enoughMs = 5_000;
const binding = createRequire(import.meta.url).resolve('pkcs11js');

/** Of a process of its own. CKF_SERIAL_SESSION is 4; what another slot answers is not of interest. */
const program = `
const [binding, library, label] = process.argv.slice(1);
const p11 = new (require(binding).PKCS11)();
p11.load(library);
p11.C_Initialize();
const slot = p11.C_GetSlotList(true).find((one) => {
  try { return p11.C_GetTokenInfo(one).label.replace(/[\\0 ]+$/, '') === label; } catch { return false; }
});
if (slot) p11.C_OpenSession(slot, 4);
process.exit(slot ? 0 : 1);`;

/**
 * Whether another process, whose library is fresh, sees the token. It costs nothing that this one has: a call that hangs holds up only that process, no
 * PIN is offered, and no session ends. This one may have initialised the library before the token was there, and then sees it only after a restart.
 */
export function lookAfresh(libraryPath: string, tokenLabel: string, timeoutMs = enoughMs): Promise<Look> {
  return new Promise((resolve) => {
    const args = ['-e', program, '--', binding, libraryPath, tokenLabel];
    const options = { timeout: timeoutMs, killSignal: 'SIGKILL', env: { ...process.env, NODE_OPTIONS: '' } } as const;
    const child = execFile(process.execPath, args, options, (error) => {
      process.off('exit', kill);
      resolve(error ? (error.killed ? 'silent' : 'not-seen') : 'seen');
    });
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
  });
}
