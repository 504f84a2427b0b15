import { closeSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { type FunctionName, functionNames } from './function-names';

/** Bytes of the header, and of what follows for each function; as `struct control` and `struct commands` of fault-token.c. */
const recordBytes = 128;
const header = { magic: 0, functionCount: 8, active: 12, away: 16, manner: 20, vanishings: 24 } as const;
const command = { latencyUs: 24, failCode: 28, failEvery: 32, failLeft: 36, failTurn: 40, hangLeft: 44, releases: 48 } as const;
const counter = { calls: [64, 8], failed: [72, 8], waiting: [80, 4] } as const;

/**
 * The file through which a test commands fault tokens in other processes. They map it, so that what is written here is seen by their next call and
 * what they count is read here at once. Every field is aligned and written by one pwrite.
 */
export class ControlFile {
  private readonly file: number;

  /** Makes the file anew, with nothing set. */
  constructor(readonly path: string) {
    const bytes = Buffer.alloc(recordBytes * (1 + functionNames.length));
    bytes.write('FAULTS1', header.magic, 'latin1');
    bytes.writeUInt32LE(functionNames.length, header.functionCount);
    for (const [index, name] of functionNames.entries()) bytes.write(name, recordBytes * (1 + index), 'latin1');
    writeFileSync(path, bytes);
    this.file = openSync(path, 'r+');
  }

  set(field: Exclude<keyof typeof header, 'magic' | 'functionCount'>, value: number): void {
    this.write(header[field], value);
  }

  command(name: FunctionName, field: keyof typeof command, value: number): void {
    this.write(offsetOf(name) + command[field], value);
  }

  count(name: FunctionName, field: keyof typeof counter): number {
    const [offset, bytes] = counter[field];
    const read = Buffer.alloc(8);
    readSync(this.file, read, 0, bytes, offsetOf(name) + offset);
    return Number(read.readBigUInt64LE());
  }

  close(): void {
    closeSync(this.file);
  }

  private write(offset: number, value: number): void {
    const bytes = Buffer.alloc(4);
    // -1, "no end", is the same bits in both.
    bytes.writeUInt32LE(value >>> 0);
    writeSync(this.file, bytes, 0, 4, offset);
  }
}

const offsetOf = (name: FunctionName): number => recordBytes * (1 + functionNames.indexOf(name));
