import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand, type TemporaryFolder, temporaryFolder, workspaceRoot } from '@claviger/testing';
import { cast } from '../demo/cast';
import type { System } from './system';

/** The command line as people and services of the cast use it: each call a process of its own, with nothing of this one's environment but PATH. */
export class CliCallers {
  private constructor(
    private readonly system: System,
    private readonly folder: TemporaryFolder,
  ) {}

  static async start(system: System): Promise<CliCallers> {
    const callers = new CliCallers(system, await temporaryFolder('cli-callers'));
    for (const { id } of Object.values(cast)) writeFileSync(callers.file(`${id}.token`), system.tokens[id] as string, { mode: 0o600 });
    return callers;
  }

  /** A path in a folder that all share. */
  file(name: string): string {
    return join(this.folder.path, name);
  }

  as(principal: string, ...args: string[]) {
    return this.asIn({}, principal, ...args);
  }

  /** With variables of its own beside. */
  asIn(environment: Record<string, string>, principal: string, ...args: string[]) {
    return runCommand(process.execPath, [join(workspaceRoot(), 'dist/apps/cli/main.js'), ...args], {
      allowFailure: true,
      env: { ...this.environmentOf(principal), ...environment },
    });
  }

  environmentOf(principal: string) {
    return {
      PATH: process.env.PATH,
      NODE_COMPILE_CACHE: join(workspaceRoot(), '.claviger/compile-cache'),
      CLAVIGER_URL: this.system.stack.broker.url,
      CLAVIGER_TOKEN_FILE: this.file(`${principal}.token`),
      CLAVIGER_TRUST_FILE: this.system.stack.trustFile,
      XDG_STATE_HOME: this.file('state'),
    };
  }

  /** What it prints. @throws with what it said, when it fails */
  async ok(principal: string, ...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.as(principal, ...args);
    if (code !== 0) throw new Error(`claviger ${args.join(' ')} gave ${code}: ${stderr}`);
    return stdout;
  }

  async json<T>(principal: string, ...args: string[]): Promise<T> {
    return JSON.parse(await this.ok(principal, '--json', ...args)) as T;
  }

  stop(): Promise<void> {
    return this.folder.remove();
  }
}

/** What tests ask callers for, who are there once a `beforeAll` has started them. */
export const calling = (callers: () => CliCallers) => ({
  file: (name: string) => callers().file(name),
  as: (principal: string, ...args: string[]) => callers().as(principal, ...args),
  ok: (principal: string, ...args: string[]) => callers().ok(principal, ...args),
  json: <T>(principal: string, ...args: string[]) => callers().json<T>(principal, ...args),
});
