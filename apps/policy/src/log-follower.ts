import { type FileHandle, open, stat } from 'node:fs/promises';
import { StringDecoder } from 'node:string_decoder';

const chunkBytes = 64 * 1024;
/** A line that is longer is cut: no line of the broker's is. */
const lineCharsMax = 64 * 1024;

/**
 * Follows a log file from its present end, through rotation by renaming (what nats-server's `logfile_size_limit` does: the rest of the old file
 * is read before the new one) and through truncation. A file that is not there yet is waited for.
 */
export class LogFollower {
  private file: { handle: FileHandle; inode: number; offset: number } | undefined;
  private decoder = new StringDecoder('utf8');
  private partial = '';
  private timer: NodeJS.Timeout | undefined;
  private turn: Promise<void> = Promise.resolve();
  private stopped = false;

  constructor(
    private readonly path: string,
    private readonly onLine: (line: string) => void,
    private readonly onError: (error: unknown) => void,
  ) {}

  async start(everyMs = 250): Promise<void> {
    await this.openAt('end').catch((error) => this.missing(error));
    this.timer = setInterval(() => void this.poll(), everyMs);
  }

  /** Reads what has been written; one turn at a time. */
  poll(): Promise<void> {
    this.turn = this.turn.then(() => this.readOn()).catch((error) => this.missing(error));
    return this.turn;
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.poll();
    this.stopped = true;
    await this.file?.handle.close();
    this.file = undefined;
  }

  private async readOn(): Promise<void> {
    if (this.stopped) return;
    if (!this.file) await this.openAt('start');
    await this.readToEnd();
    const { ino, size } = await stat(this.path);
    const { inode, offset, handle } = this.file as NonNullable<typeof this.file>;
    if (ino === inode && size >= offset) return;
    // Once more: lines may have been written between the last read and the rotation.
    await this.readToEnd();
    await handle.close();
    this.file = undefined;
    await this.openAt('start');
    await this.readToEnd();
  }

  private async openAt(where: 'start' | 'end'): Promise<void> {
    const handle = await open(this.path, 'r');
    const { ino, size } = await handle.stat();
    this.file = { handle, inode: ino, offset: where === 'end' ? size : 0 };
    this.decoder = new StringDecoder('utf8');
    this.partial = '';
  }

  private async readToEnd(): Promise<void> {
    const { file } = this;
    if (!file) return;
    const buffer = Buffer.allocUnsafe(chunkBytes);
    for (;;) {
      const { bytesRead } = await file.handle.read(buffer, 0, chunkBytes, file.offset);
      if (bytesRead === 0) return;
      file.offset += bytesRead;
      const lines = (this.partial + this.decoder.write(buffer.subarray(0, bytesRead))).split('\n');
      this.partial = (lines.pop() ?? '').slice(0, lineCharsMax);
      for (const line of lines) this.onLine(line);
    }
  }

  private missing(error: unknown): void {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.onError(error);
  }
}
