import { EventEmitter } from 'node:events';
import { fakeClock, until, untilEvent } from '@claviger/testing';
import { expect, test } from '@jest/globals';

test('until gives the first truthy value and takes a throw for "not yet"', async () => {
  let asked = 0;
  const condition = () => {
    asked += 1;
    if (asked < 3) throw new Error('not there');
    return `answer ${asked}`;
  };
  expect(await until(condition, { what: 'an answer', everyMs: 1 })).toBe('answer 3');
});

test('until names what it waited for and keeps the last throw as the cause', async () => {
  const failing = until(
    () => {
      throw new Error('still broken');
    },
    { what: 'the impossible', timeoutMs: 30, everyMs: 5 },
  );
  await expect(failing).rejects.toMatchObject({ message: 'waited 30 ms for the impossible', cause: { message: 'still broken' } });
});

test('untilEvent gives the arguments of the next event, and an error when none comes', async () => {
  const emitter = new EventEmitter();
  const next = untilEvent(emitter, 'ready', { what: 'readiness' });
  emitter.emit('ready', 1, 2);
  expect(await next).toEqual([1, 2]);
  await expect(untilEvent(emitter, 'never', { what: 'nothing', timeoutMs: 20 })).rejects.toThrow('waited 20 ms for nothing');
});

test('a fake clock moves only when it is moved', () => {
  const { now, advance, set } = fakeClock(1_000);
  advance(500);
  expect(now()).toBe(1_500);
  set(0);
  expect(now()).toBe(0);
});
