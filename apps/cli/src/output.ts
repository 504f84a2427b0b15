import type { Writable } from 'node:stream';

export interface Column<T> {
  title: string;
  value: (row: T) => string | number | boolean | undefined;
}

/** Results go to stdout, as tables for people or as JSON; everything about the work goes to stderr. */
export class Output {
  constructor(
    private readonly json: boolean,
    private readonly out: Writable & { isTTY?: boolean } = process.stdout,
    private readonly error: Writable & { isTTY?: boolean } = process.stderr,
  ) {}

  /** One result: `asJson` under --json, else lines of `name  value`. */
  fields(asJson: unknown, fields: Record<string, unknown>): void {
    if (this.json) return this.document(asJson);
    const shown = Object.entries(fields).filter(([, value]) => value !== undefined);
    const width = Math.max(...shown.map(([name]) => name.length));
    for (const [name, value] of shown) this.line(`${name.padEnd(width)}  ${printable(String(value))}`);
  }

  table<T>(asJson: unknown, rows: readonly T[], columns: readonly Column<T>[]): void {
    if (this.json) return this.document(asJson);
    const cells = rows.map((row) => columns.map(({ value }) => printable(String(value(row) ?? ''))));
    const widths = columns.map(({ title }, i) => Math.max(title.length, ...cells.map((row) => row[i]!.length)));
    for (const row of [columns.map(({ title }) => title), ...cells])
      this.line(
        row
          .map((cell, i) => cell.padEnd(widths[i]!))
          .join('  ')
          .trimEnd(),
      );
    if (rows.length === 0) this.note('none');
  }

  /** Text that is the result itself: a ciphertext, a signature. */
  text(asJson: unknown, text: string): void {
    if (this.json) this.document(asJson);
    else this.line(text);
  }

  /** One result that takes many lines. */
  lines(asJson: unknown, lines: Iterable<string>): void {
    if (this.json) return this.document(asJson);
    for (const line of lines) this.line(printable(line));
  }

  /** One of a stream of results. */
  event(asJson: unknown, text: string): void {
    if (this.json) this.line(JSON.stringify(asJson, bytesAsText));
    else this.line(printableLines(text));
  }

  note(text: string): void {
    this.error.write(`${printableLines(text)}\n`);
  }

  /** Whether results are read by a program: then notes that repeat them are left out. */
  get isJson(): boolean {
    return this.json;
  }

  /** Whether notes and progress go to a terminal. */
  get onTerminal(): boolean {
    return this.error.isTTY === true;
  }

  /** Rewrites one line of a terminal; says nothing elsewhere. */
  progress(text: string | undefined): void {
    if (this.error.isTTY) this.error.write(text === undefined ? '\r\x1b[K' : `\r\x1b[K${printable(text)}`);
  }

  private document(value: unknown): void {
    this.line(JSON.stringify(value, bytesAsText, 2));
  }

  private line(text: string): void {
    this.out.write(`${text}\n`);
  }
}

/** base64url, as in messages. */
const bytesAsText = (_name: string, value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString('base64url') : value);

/** Names and reasons are other people's text: no control character of theirs reaches a terminal. */
const printable = (text: string): string => text.replaceAll(/\p{Cc}/gu, '\uFFFD');

/** The same for text of several lines. */
export const printableLines = (text: string): string => text.split('\n').map(printable).join('\n');
