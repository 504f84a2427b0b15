interface Session {
  readonly method: string;
  readonly openedMs: number;
}

/** Sessions end after 15 minutes; this long after its opening nothing in the ledger is of one any more. */
export const sessionLastsMs = 60 * 60_000;
const sessionsAtMost = 200_000;

/** How callers of the last while authenticated, and when: what operation records leave to the session's own. */
export class SessionsSeen {
  readonly #opened = new Map<string, Session>();

  note({ event, session, method, time }: { event?: unknown; session?: unknown; method?: unknown; time?: unknown }): void {
    if (event !== 'opened' || typeof session !== 'string' || typeof method !== 'string') return;
    const openedMs = Date.parse(String(time));
    this.#opened.set(session, { method, openedMs });
    // In the order in which they were opened.
    for (const [id, { openedMs: then }] of this.#opened) {
      if (this.#opened.size <= sessionsAtMost && openedMs - then <= sessionLastsMs) break;
      this.#opened.delete(id);
    }
  }

  get(session: string): Session | undefined {
    return this.#opened.get(session);
  }
}
