import { appendFile, rename, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '@claviger/testing';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { LogFollower } from '../src/log-follower';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let file: string;
let lines: string[];
let follower: LogFollower;

beforeEach(async () => {
  folder = await temporaryFolder('log-follower');
  file = join(folder.path, 'broker.log');
  lines = [];
  follower = new LogFollower(
    file,
    (line) => lines.push(line),
    (error) => {
      throw error;
    },
  );
});
afterEach(async () => {
  await follower.stop();
  await folder.remove();
});

test('begins at the end, and a line counts once it is whole', async () => {
  await writeFile(file, 'old\n');
  await follower.start(3_600_000);
  await appendFile(file, 'one\ntw');
  await follower.poll();
  expect(lines).toEqual(['one']);
  await appendFile(file, 'o ✓\n');
  await follower.poll();
  expect(lines).toEqual(['one', 'two ✓']);
});

test('reads the rest of a file that was rotated away, then the new one from its start', async () => {
  await writeFile(file, '');
  await follower.start(3_600_000);
  await appendFile(file, 'before\n');
  await rename(file, `${file}.1`);
  await appendFile(`${file}.1`, 'last\n');
  await writeFile(file, 'first\n');
  await follower.poll();
  expect(lines).toEqual(['before', 'last', 'first']);
  await appendFile(file, 'second\n');
  await follower.poll();
  expect(lines).toEqual(['before', 'last', 'first', 'second']);
});

test('waits for a file that is not there, between two files too, and follows a truncated one', async () => {
  await follower.start(3_600_000);
  await follower.poll();
  await writeFile(file, 'appeared\n');
  await follower.poll();
  await rename(file, `${file}.1`);
  await follower.poll();
  await writeFile(file, 'again\n');
  await follower.poll();
  await truncate(file, 0);
  await follower.poll();
  await appendFile(file, 'x\n');
  await follower.poll();
  expect(lines).toEqual(['appeared', 'again', 'x']);
});
