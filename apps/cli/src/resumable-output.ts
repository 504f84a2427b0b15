import { closeSync, existsSync, fsyncSync, ftruncateSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { z } from 'zod';
import { CommandError } from './exit-codes';
import { writePrivately } from './files';

/** How far an interrupted run came. */
const Progress = z.strictObject({
  format: z.literal('claviger.lines/1'),
  /** What was to be done: another task does not go on with this one's lines. */
  task: z.string(),
  /** So many lines of the input are done; the digest of them, newlines included. */
  lines: z.int().min(0),
  inputSha256: z.string(),
  /** So many bytes of the output are known to be on disk. */
  bytes: z.int().min(0),
  failed: z.int().min(0),
});
type Progress = z.infer<typeof Progress>;

const flushEveryMs = 1_000;

/**
 * Lines that are made one for each line of an input, into a file that gets its name when all are there. Killed at any time, the same command goes on after the
 * last that was known to be on disk and did not fail. What is beside the file meanwhile: `FILE.partial`, and `FILE.partial.progress`.
 */
export class ResumableOutput {
  private written: number;
  private lastFlushMs = performance.now();
  /** Lines at the end that failed one after the other. */
  failedInRow = 0;
  /** Up to the last line that did not fail: what it is known by, and its digest. */
  private sound: { progress: Progress; digest: () => string } | undefined;

  private constructor(
    private readonly path: string,
    private readonly fd: number,
    private progress: Progress,
  ) {
    this.written = progress.bytes;
  }

  /** @throws CommandError when there is one already, or an interrupted one of another task */
  static open(path: string, task: string): ResumableOutput {
    if (existsSync(path)) throw new CommandError('badInput', `${path} is there already`, 'Name another file, or move it away.');
    const begun = readProgress(path);
    if (begun && begun.task !== task)
      throw new CommandError(
        'badInput',
        `${path}.partial is of another task`,
        `Finish that first, or remove ${path}.partial and ${path}.partial.progress.`,
      );
    const fd = openSync(`${path}.partial`, begun ? 'r+' : 'w', 0o600);
    const progress = begun ?? { format: 'claviger.lines/1' as const, task, lines: 0, inputSha256: '', bytes: 0, failed: 0 };
    // What came after that is made again.
    ftruncateSync(fd, progress.bytes);
    return new ResumableOutput(path, fd, progress);
  }

  /** Lines of the input that an earlier run has done, and how many of them failed. */
  get done(): Pick<Progress, 'lines' | 'failed'> {
    return this.progress;
  }

  /** The digest of the input's lines that are done. @throws CommandError when the input is another one by now */
  assertSameInput(digest: string): true {
    if (digest !== this.progress.inputSha256)
      throw new CommandError(
        'badInput',
        'the input is not the one that was begun with',
        `Remove ${this.path}.partial and ${this.path}.partial.progress to begin anew.`,
      );
    return true;
  }

  /** The line for the input's line of this number; all before it are done. */
  append(text: string, input: { number: number; digest: () => string }, failed: boolean): void {
    const bytes = Buffer.from(`${text}\n`);
    writeSync(this.fd, bytes, 0, bytes.length, this.written);
    this.written += bytes.length;
    this.progress = { ...this.progress, lines: input.number, failed: this.progress.failed + (failed ? 1 : 0), bytes: this.written };
    this.failedInRow = failed ? this.failedInRow + 1 : 0;
    if (!failed) this.sound = { progress: this.progress, digest: input.digest };
    if (performance.now() - this.lastFlushMs >= flushEveryMs) this.flush();
  }

  /** Lines that failed one after the other at the end stay undone: what made them fail may be mended before the same command goes on. */
  flush(): void {
    this.lastFlushMs = performance.now();
    if (!this.sound) return;
    fsyncSync(this.fd);
    const { progress, digest } = this.sound;
    writePrivately(`${this.path}.partial.progress`, JSON.stringify({ ...progress, inputSha256: digest() }));
  }

  /** All are there. */
  finish(): void {
    fsyncSync(this.fd);
    closeSync(this.fd);
    renameSync(`${this.path}.partial`, this.path);
    rmSync(`${this.path}.partial.progress`, { force: true });
  }
}

/** Undefined where nothing was begun. One that cannot be read is not nothing. */
function readProgress(path: string): Progress | undefined {
  const file = `${path}.partial.progress`;
  if (!existsSync(file) || !existsSync(`${path}.partial`)) return undefined;
  try {
    return Progress.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    throw new CommandError('badInput', `${file} cannot be read`, `Remove it and ${path}.partial to begin anew.`);
  }
}
