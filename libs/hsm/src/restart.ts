import { lookAfresh } from './fresh-look';
import { HsmError } from './hsm-error';
import type { Library, LibraryUser } from './library';

const CKR_CRYPTOKI_NOT_INITIALIZED = 0x190;
/** After a restart that cost others their sessions and did not help. */
const nextLookMs = 600_000;

export interface RestartParts {
  library: Library;
  tokenLabel: string;
  /** Milliseconds, of any origin. */
  now: () => number;
}

/** A library that was initialised before the token was there is restarted for it, if another process has seen it. @throws what `connect` does */
export function connectFirst(connect: () => void, library: Library, { seenAfresh }: { seenAfresh: boolean }): void {
  try {
    connect();
  } catch (error) {
    if (!(seenAfresh && error instanceof HsmError && error.code === 'HSM_TOKEN_NOT_FOUND')) throw error;
    library.restart();
    connect();
  }
}

/**
 * Restarts the library for one of its tokens. Others lose their sessions by it: so where there are any, it is done once another process has seen that
 * the token is back, and not while it stays away.
 */
export class Restart {
  /** Another process has seen the token since it was connected last. */
  seen = false;
  /** Its look, while that lasts. */
  looking: Promise<void> | undefined;
  #lookAtMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly parts: RestartParts) {}

  /**
   * Restarts the library after fresh sessions failed like this, if it may help. Where nobody knows yet whether it would, a look begins, and a later call
   * is told. @returns whether it did. @throws HsmError HSM_UNAVAILABLE while asynchronous calls are in flight
   */
  helps(user: LibraryUser, failure: unknown): boolean {
    const { library, now } = this.parts;
    // Theirs are gone as well when the library is not initialised any more.
    const uninitialised = failure instanceof HsmError && failure.ckr === CKR_CRYPTOKI_NOT_INITIALIZED;
    if (!library.inUseBeside(user) || uninitialised) {
      library.restart();
      return true;
    }
    if (this.seen) {
      this.seen = false;
      library.restart();
      this.#lookAtMs = now() + nextLookMs;
      return true;
    }
    if (!this.looking && now() >= this.#lookAtMs) this.looking = this.#look();
    return false;
  }

  connected(): void {
    this.seen = false;
    this.#lookAtMs = Number.NEGATIVE_INFINITY;
  }

  async #look(): Promise<void> {
    const { library, tokenLabel } = this.parts;
    this.seen = (await lookAfresh(library.path, tokenLabel)) === 'seen';
    this.looking = undefined;
  }
}
