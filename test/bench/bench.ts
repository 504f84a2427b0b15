import type { Client } from '@claviger/client';
import { builtProgram, type Child, startChild, workspaceRoot } from '@claviger/testing';
import type { Stack } from '../../deploy/local/stack';

/** A running system and who acts in it. */
export interface Bench {
  stack: Stack;
  folder: string;
  /** For the load generators. */
  env: Record<string, string>;
  administrator: Client;
  auditor: Client;
  officer: Client;
  /** By principal. */
  callerTokens: Record<string, string>;
  report: (line: string) => void;
}

/** A load generator, `test/bench/<program>.ts`, as a process of its own; reads its orders on standard input. */
export async function startGenerator(program: string, orders: object, env: Record<string, string>): Promise<Child> {
  const file = await builtProgram(`test/bench/${program}.ts`);
  return startChild(process.execPath, ['--enable-source-maps', file], {
    cwd: workspaceRoot(),
    env: { ...process.env, ...env },
    input: JSON.stringify(orders),
    name: 'load generator',
  });
}
