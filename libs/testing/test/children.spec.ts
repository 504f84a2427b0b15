import { builtProgram, runCommand, startChild, stopChildren, until, workspaceRoot } from '@claviger/testing';
import { beforeAll, describe, expect, test } from '@jest/globals';

const node = (script: string) => ['--input-type=module', '-e', script];

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

test('a child is stopped by SIGTERM, also while it is paused', async () => {
  const child = await startChild(
    process.execPath,
    node(`process.on('SIGTERM', () => process.exit(7)); console.log('up'); setInterval(() => {}, 1000)`),
  );
  await child.waitForLog(/up/);
  child.pause();
  await child.stop();
  expect(await child.exited).toEqual({ code: 7, signal: null });
});

test('a child that ignores SIGTERM is killed after its grace', async () => {
  const child = await startChild(process.execPath, node(`process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000)`));
  await child.waitForLog(/up/);
  await child.stop(50);
  expect(await child.exited).toEqual({ code: null, signal: 'SIGKILL' });
});

test('waiting for a line of a program that ends without it shows what it said', async () => {
  const child = await startChild(process.execPath, node(`console.error('no such setting'); process.exit(3)`), { name: 'broken' });
  await expect(child.waitForLog(/ready/)).rejects.toThrow(/broken ended before it logged \/ready\/[\s\S]*no such setting/);
});

test('a program that does not exist is an error, not a hang', async () => {
  await expect(startChild('/no/such/program', [])).rejects.toThrow('/no/such/program did not start');
});

test('stopChildren ends the newest first', async () => {
  const script = `process.on('SIGTERM', () => { console.log(process.hrtime.bigint()); process.exit(0) }); console.log('up'); setInterval(() => {}, 1000)`;
  const older = await startChild(process.execPath, node(script));
  const newer = await startChild(process.execPath, node(script));
  await Promise.all([older.waitForLog(/up/), newer.waitForLog(/up/)]);
  await stopChildren();
  const endedAt = async (child: typeof older) => BigInt((await child.waitForLog(/\d{6,}/))[0]);
  expect(await endedAt(newer)).toBeLessThan(await endedAt(older));
});

test('runCommand gives the output, or throws with it', async () => {
  expect((await runCommand(process.execPath, node(`process.stdin.pipe(process.stdout)`), { input: 'in and out' })).stdout).toBe(
    'in and out',
  );
  await expect(runCommand('/bin/sh', ['-c', 'echo why >&2; exit 4'])).rejects.toThrow(/ended with 4:\nwhy/);
  expect((await runCommand('/bin/sh', ['-c', 'exit 4'], { allowFailure: true })).code).toBe(4);
});

describe('what a program started ends when the program goes', () => {
  let program: string;
  beforeAll(async () => {
    program = await builtProgram('libs/testing/test/programs/parent.ts');
  });

  const start = async (...args: string[]) => {
    const parent = await startChild(process.execPath, [program, ...args], { cwd: workspaceRoot(), name: 'parent' });
    const [, pid] = await parent.waitForLog(/child (\d+)/);
    return { parent, pid: Number(pid) };
  };
  const ends = (pid: number) => until(() => !isAlive(pid), { what: 'the child to end', timeoutMs: 10_000 });

  test.each(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP'] as const)('by %s', async (signal) => {
    const { parent, pid } = await start();
    expect(isAlive(pid)).toBe(true);
    parent.signal(signal);
    expect(await parent.exited).toEqual({ code: null, signal });
    await ends(pid);
  });

  test.each(['throw', 'exit'])('by %s', async (way) => {
    const { pid } = await start(way);
    await ends(pid);
  });
});
