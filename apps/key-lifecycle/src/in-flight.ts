/** Who asks for what somebody is being told already hears the same answer. Nothing is remembered beyond it. */
export class InFlight<T> {
  private readonly asked = new Map<string, Promise<T>>();

  of(id: string, ask: () => Promise<T>): Promise<T> {
    let answer = this.asked.get(id);
    if (!answer) {
      answer = ask().finally(() => this.asked.delete(id));
      this.asked.set(id, answer);
    }
    return answer;
  }
}
