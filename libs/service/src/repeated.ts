/** Work that is done from time to time, one at a time: who asks for it while it is done waits for that. What fails is told, and done again the next time. */
export class Repeated {
  private timer: NodeJS.Timeout | undefined;
  private working: Promise<void> | undefined;
  private ended = false;

  constructor(
    private readonly work: () => Promise<void>,
    private readonly onFailure: (error: unknown) => void,
  ) {}

  /** True once `stop` was called: long work looks. */
  get stopped(): boolean {
    return this.ended;
  }

  start(everyMs: number): void {
    this.timer = setInterval(() => void this.now(), everyMs);
  }

  now(): Promise<void> {
    this.working ??= this.work()
      .catch(this.onFailure)
      .finally(() => (this.working = undefined));
    return this.working;
  }

  /** Waits for what is under way. */
  async stop(): Promise<void> {
    this.ended = true;
    clearInterval(this.timer);
    await this.working;
  }
}
