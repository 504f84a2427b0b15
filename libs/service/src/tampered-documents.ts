/** So many are remembered; it takes somebody with access to the store to make more of them, and then each is told whenever it is read. */
const remembered = 1_000;

/** Sweeps read a tampered document again and again: it is told when it is found, and anew when it is bad in another way or was well in between. */
export class TamperedDocuments {
  private readonly reasons = new Map<string, string>();

  constructor(private readonly tell: (id: string, reason: string) => void) {}

  found(id: string, reason: string): void {
    if (this.reasons.get(id) === reason) return;
    if (this.reasons.size < remembered || this.reasons.has(id)) this.reasons.set(id, reason);
    this.tell(id, reason);
  }

  well(id: string): void {
    this.reasons.delete(id);
  }
}
