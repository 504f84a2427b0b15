import { createReadStream, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TemporaryFolder, temporaryFolder } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type FileLine, linesOf } from '../src/line-file';
import { ResumableOutput } from '../src/resumable-output';

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder('resumable-output');
});
afterAll(() => folder.remove());

let files = 0;
const newFile = () => join(folder.path, `f${files++}`);
const read = async (path: string, maxBytes = 1_000) => {
  const found: FileLine[] = [];
  for await (const line of linesOf(createReadStream(path), maxBytes)) found.push(line);
  return found;
};

test('lines are read as they stand, and the digest of one is that of all up to it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.stringMatching(/^[^\n]{0,20}$/), { maxLength: 20 }), async (texts) => {
      const path = newFile();
      writeFileSync(path, texts.map((text) => `${text}\n`).join(''));
      const lines = await read(path);
      expect(lines.map(({ text }) => text)).toEqual(texts.map((text) => Buffer.from(text).toString()));
      const half = newFile();
      writeFileSync(
        half,
        texts
          .slice(0, 3)
          .map((text) => `${text}\n`)
          .join(''),
      );
      expect((await read(half)).at(-1)?.digest()).toBe(lines[Math.min(3, texts.length) - 1]?.digest());
    }),
    { numRuns: 50 },
  );
});

test('a last line without its end counts, and one that is too long is told by its number', async () => {
  const path = newFile();
  writeFileSync(path, `one\ntwo\n${'x'.repeat(50)}`);
  expect((await read(path)).map(({ number }) => number)).toEqual([1, 2, 3]);
  await expect(read(path, 49)).rejects.toThrow('line 3 has more than 49 bytes');
});

/** As one process does it: some lines, a flush, some more, and no end. */
async function interrupted(input: string, out: string, flushed: number, more: number) {
  const output = ResumableOutput.open(out, 'task');
  const lines = await read(input);
  for (const line of lines.slice(0, flushed)) output.append(line.text.toUpperCase(), line, false);
  output.flush();
  for (const line of lines.slice(flushed, flushed + more)) output.append('HALF', line, false);
}

test('after a kill the same task goes on after the last line that was known to be on disk, and gives the file that an uninterrupted one gives', async () => {
  const [input, out] = [newFile(), newFile()];
  writeFileSync(input, Array.from({ length: 30 }, (_, n) => `line ${n}\n`).join(''));
  await interrupted(input, out, 12, 5);
  expect(existsSync(out)).toBe(false);
  expect(() => ResumableOutput.open(out, 'another')).toThrow('is of another task');
  const output = ResumableOutput.open(out, 'task');
  expect(output.done).toMatchObject({ lines: 12, failed: 0 });
  const lines = await read(input);
  expect(output.assertSameInput(lines[11]?.digest() as string)).toBe(true);
  expect(() => output.assertSameInput(lines[10]?.digest() as string)).toThrow('not the one that was begun with');
  for (const line of lines.slice(12)) output.append(line.text.toUpperCase(), line, line.number === 20);
  expect(output.done).toMatchObject({ lines: 30, failed: 1 });
  output.finish();
  expect(readFileSync(out, 'utf8')).toBe(readFileSync(input, 'utf8').toUpperCase());
  for (const beside of ['.partial', '.partial.progress']) expect(existsSync(`${out}${beside}`)).toBe(false);
  expect(() => ResumableOutput.open(out, 'task')).toThrow('is there already');
});

test('lines that failed one after the other at the end are undone for the run that goes on; one between good lines keeps its failure', async () => {
  const [input, out] = [newFile(), newFile()];
  writeFileSync(input, 'a\nb\nc\nd\ne\n');
  const lines = await read(input);
  const stopped = ResumableOutput.open(out, 'task');
  for (const line of lines.slice(0, 4)) stopped.append(`1 ${line.text}`, line, line.text !== 'a' && line.text !== 'c');
  expect([stopped.done.failed, stopped.failedInRow]).toEqual([2, 1]);
  stopped.flush();
  const output = ResumableOutput.open(out, 'task');
  expect(output.done).toMatchObject({ lines: 3, failed: 1 });
  expect(output.assertSameInput(lines[2]?.digest() as string)).toBe(true);
  for (const line of lines.slice(3)) output.append(`2 ${line.text}`, line, false);
  output.finish();
  expect(readFileSync(out, 'utf8')).toBe('1 a\n1 b\n1 c\n2 d\n2 e\n');
});

test('progress that cannot be read is not taken for none', async () => {
  const [input, out] = [newFile(), newFile()];
  writeFileSync(input, 'a\nb\n');
  await interrupted(input, out, 1, 0);
  writeFileSync(`${out}.partial.progress`, '{"lines":');
  expect(() => ResumableOutput.open(out, 'task')).toThrow('cannot be read');
});
