import { builtProgram, type Child, startChild } from '@claviger/testing';
import { beforeAll, expect, test } from '@jest/globals';

let program: string;
beforeAll(async () => {
  program = await builtProgram('libs/operability/test/programs/service.ts');
});

const start = (scenario: string): Promise<Child> =>
  startChild(process.execPath, [program, scenario], {
    name: `service ${scenario}`,
    env: { ...process.env, LOG_FORMAT: 'json' },
  });
const steps = (child: Child) => child.logs().match(/^step.*$/gm);

test('SIGTERM runs the drain steps in order and once, however often it is asked; one that fails stops no other', async () => {
  const child = await start('well');
  await child.waitForLog(/^running$/m);
  child.signal('SIGTERM');
  await child.waitForLog(/step 1 begins/);
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGTERM'] as const) child.signal(signal);
  expect(await child.exited).toEqual({ code: 0, signal: null });
  expect(steps(child)).toEqual(['step 1 begins', 'step 1 ends', 'step 2', 'step 3']);
  expect(child.logs()).toContain('while draining: Error: step 2 fails');
});

test('a wrong configuration ends it with EX_CONFIG and the name of the variable', async () => {
  const child = await start('misconfigured');
  expect(await child.exited).toEqual({ code: 78, signal: null });
  expect(child.logs()).toContain('SPEC_URL is not set: where it is');
});

test('a start that fails ends it with 1 and the reason', async () => {
  const child = await start('broken');
  expect(await child.exited).toEqual({ code: 1, signal: null });
  expect(child.logs()).toContain('could not start: no token');
});

test('it can be stopped while it starts', async () => {
  const child = await start('slow-start');
  await child.waitForLog(/^starting$/m);
  child.signal('SIGTERM');
  expect(await child.exited).toEqual({ code: 0, signal: null });
});
