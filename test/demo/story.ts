/** The demo's voice: numbered steps, what was done, what came of it. A step that does not hold ends the demo. */
export class Story {
  private step = 0;
  private readonly colour = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
  private readonly began = performance.now();

  constructor(private readonly steps: number) {}

  say(line = ''): void {
    console.log(line);
  }

  title(text: string): void {
    this.say(`\n${this.paint(1, text)}`);
  }

  /** Runs one step; `tell` prints a line under it. */
  async act<T>(title: string, work: (tell: (line: string) => void) => Promise<T>): Promise<T> {
    this.step++;
    this.say(`\n${this.paint(36, `${this.step}/${this.steps}`)} ${this.paint(1, title)}`);
    try {
      return await work((line) => this.say(`    ${line}`));
    } catch (error) {
      this.say(`    ${this.paint(31, 'did not hold:')} ${error instanceof Error ? error.message : String(error)}`);
      throw error;
    }
  }

  good(text: string): string {
    return `${this.paint(32, '✔')} ${text}`;
  }

  refused(text: string): string {
    return `${this.paint(33, '✋')} ${text}`;
  }

  elapsed(): string {
    return `${((performance.now() - this.began) / 1_000).toFixed(1)} s`;
  }

  private paint(code: number, text: string): string {
    return this.colour ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}

export function must(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new Error(otherwise);
}
