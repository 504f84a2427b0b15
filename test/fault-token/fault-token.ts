import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { readMachine, type TemporaryFolder, temporaryFolder } from '@claviger/testing';
import { buildModule } from './build-module';
import { ControlFile } from './control-file';
import { type FunctionName, functionNames } from './function-names';

export interface FailOptions {
  /** So many calls fail, over all processes; default: until cleared. */
  times?: number;
  /** Of so many calls one fails, the last; default 1, each. */
  every?: number;
}

/**
 * `removed`: as a token pulled out of its slot. No slot holds one; calls end with CKR_TOKEN_NOT_PRESENT or CKR_DEVICE_REMOVED, and when it is back every
 * session is closed. `silent`: as SoftHSM when its folder is gone. Open sessions calculate on, searches find nothing, nothing can be stored; a library
 * that initialises meanwhile has no token, and in both cases only C_Finalize and C_Initialize after the return help.
 */
export type Vanishing = 'removed' | 'silent';

const noEnd = -1;

/**
 * Commands the fault tokens of other processes: those that were started with `env` and load `libraryPath` as their PKCS#11 library. A command counts from
 * the next call on, in all of them together. What a call meets, in this order: latency and hang, a token that is away, failure.
 */
export class FaultToken {
  /** For the environment of the processes; PKCS11_LIBRARY is the module. */
  readonly env: Readonly<{ PKCS11_LIBRARY: string; FAULT_TOKEN_LIBRARY: string; FAULT_TOKEN_CONTROL: string }>;
  private readonly set = new Map<FunctionName, Set<'latency' | 'fail' | 'hang'>>();
  private readonly releases = new Map<FunctionName, number>();
  private away = false;
  private vanishings = 0;

  private constructor(
    readonly libraryPath: string,
    realLibrary: string,
    private readonly control: ControlFile,
    private readonly folder: TemporaryFolder,
  ) {
    this.env = { PKCS11_LIBRARY: libraryPath, FAULT_TOKEN_LIBRARY: realLibrary, FAULT_TOKEN_CONTROL: control.path };
  }

  /** @param library the real PKCS#11 library; default: what the set-up found. @throws when there is no C compiler */
  static async start({ library = readMachine().pkcs11.libraryPath }: { library?: string } = {}): Promise<FaultToken> {
    const module = await buildModule();
    const folder = await temporaryFolder('fault-token');
    return new FaultToken(module, realpathSync(library), new ControlFile(join(folder.path, 'control')), folder);
  }

  /** Every call sleeps so long before it does anything; 0 also wakes those that sleep. */
  latency(name: FunctionName, microseconds: number): void {
    this.control.command(name, 'latencyUs', microseconds);
    this.mark(name, 'latency', microseconds > 0);
  }

  /**
   * Calls return this code. What they were asked for is not done; only C_Encrypt, C_Sign and their like, which end an operation whatever they return, are
   * carried out and their result is not told.
   */
  fail(name: FunctionName, code: number, { times = noEnd, every = 1 }: FailOptions = {}): void {
    this.control.command(name, 'failLeft', 0);
    this.control.command(name, 'failCode', code);
    this.control.command(name, 'failEvery', every);
    this.control.command(name, 'failTurn', 0);
    this.mark(name, 'fail', true);
    this.control.command(name, 'failLeft', times);
  }

  /** Calls wait for `release` and then go on as if nothing had been. */
  hang(name: FunctionName, { times = noEnd }: { times?: number } = {}): void {
    this.mark(name, 'hang', true);
    this.control.command(name, 'hangLeft', times);
  }

  /** What hangs goes on, and nothing hangs any more. */
  release(...names: FunctionName[]): void {
    for (const name of names.length > 0 ? names : functionNames) {
      this.control.command(name, 'hangLeft', 0);
      const releases = (this.releases.get(name) ?? 0) + 1;
      this.releases.set(name, releases);
      this.control.command(name, 'releases', releases);
      this.mark(name, 'hang', false);
    }
  }

  vanish(manner: Vanishing = 'removed'): void {
    if (this.away) throw new Error('the token is away already');
    this.away = true;
    this.control.set('manner', manner === 'silent' ? 0 : 1);
    this.control.set('away', 1);
    this.control.set('vanishings', ++this.vanishings);
  }

  comeBack(): void {
    this.away = false;
    this.control.set('away', 0);
  }

  /** Takes everything back. What a vanishing did to sessions stays done. */
  clear(): void {
    for (const [name, kinds] of this.set) {
      if (kinds.has('latency')) this.latency(name, 0);
      this.control.command(name, 'failLeft', 0);
      this.mark(name, 'fail', false);
    }
    this.release();
    this.comeBack();
  }

  /** Calls since the start, over all processes. */
  calls(name: FunctionName): number {
    return this.control.count(name, 'calls');
  }

  /** Calls that were made to fail. */
  failed(name: FunctionName): number {
    return this.control.count(name, 'failed');
  }

  /** Calls that sleep or hang now. */
  waiting(name: FunctionName): number {
    return this.control.count(name, 'waiting');
  }

  /** Takes everything back, so that no process hangs on. Those that have loaded the module may use it on. */
  async stop(): Promise<void> {
    this.clear();
    this.control.close();
    await this.folder.remove();
  }

  private mark(name: FunctionName, kind: 'latency' | 'fail' | 'hang', isSet: boolean): void {
    const kinds = this.set.get(name) ?? new Set();
    if (isSet) kinds.add(kind);
    else kinds.delete(kind);
    if (kinds.size > 0) this.set.set(name, kinds);
    else this.set.delete(name);
    this.control.set('active', this.set.size > 0 ? 1 : 0);
  }
}
