import { realpathSync } from 'node:fs';
import pkcs11, { type PKCS11 } from 'pkcs11js';
import { HsmError } from './hsm-error';
import { failureWithoutCanary, returnValueOf } from './return-values';

const CKR_CRYPTOKI_ALREADY_INITIALIZED = 0x191;

/** Who must hear that every handle of the library became meaningless. */
export interface LibraryUser {
  /** Called between C_Finalize and C_Initialize. Session and object numbers start again at 1 afterwards: an old one would name another's object. */
  libraryRestarted(): void;
  /** Whether it has sessions, which a restart would end. */
  readonly inUse: boolean;
}

const loaded = new Map<string, Library>();

/** One PKCS#11 module of this process: loaded once, initialised while at least one token uses it (PKCS#11 v3.1 §5.4). */
export class Library {
  readonly p11: PKCS11;
  /** Digests of PINs that a token refused: a wrong PIN counts down to a locked token, so this process never offers one twice. */
  readonly refusedPins = new Set<string>();
  /** Digests of those that a token took: what fails with one of these later is not the PIN. */
  readonly acceptedPins = new Set<string>();
  #users = new Set<LibraryUser>();
  #initialised = false;
  #callsInFlight = 0;

  private constructor(readonly path: string) {
    this.p11 = new pkcs11.PKCS11();
    try {
      this.p11.load(path);
    } catch (cause) {
      throw new HsmError('HSM_CONFIGURATION', `The PKCS#11 library ${path} cannot be loaded`, { cause });
    }
  }

  /** @throws HsmError HSM_CONFIGURATION (no such library), HSM_UNAVAILABLE (it does not initialise) */
  static acquire(libraryPath: string, user: LibraryUser): Library {
    let path: string;
    try {
      path = realpathSync(libraryPath);
    } catch (cause) {
      throw new HsmError('HSM_CONFIGURATION', `There is no PKCS#11 library at ${libraryPath} (Debian: apt install softhsm2)`, { cause });
    }
    const library = loaded.get(path) ?? new Library(path);
    library.ensureInitialised();
    loaded.set(path, library);
    library.#users.add(user);
    return library;
  }

  release(user: LibraryUser): void {
    this.#users.delete(user);
    this.#finaliseIfUnused();
  }

  /** A call begins on a thread of its own: C_Finalize under it is undefined (PKCS#11 v3.1 §5.4.2), so it waits for `leave`. */
  enter(): void {
    this.#callsInFlight++;
  }

  leave(): void {
    this.#callsInFlight--;
    this.#finaliseIfUnused();
  }

  ensureInitialised(): void {
    if (this.#initialised) return;
    try {
      this.p11.C_Initialize({ flags: pkcs11.CKF_OS_LOCKING_OK });
    } catch (error) {
      if (returnValueOf(error) !== CKR_CRYPTOKI_ALREADY_INITIALIZED) throw failureWithoutCanary(error, `${this.path} does not initialise`);
    }
    this.#initialised = true;
  }

  /** Whether a restart for this one would cost another its sessions. */
  inUseBeside(user: LibraryUser): boolean {
    return [...this.#users].some((other) => other !== user && other.inUse);
  }

  /**
   * C_Finalize and C_Initialize: the only way in which SoftHSM sees a token again whose storage was away. Every token of the library loses its sessions.
   * @throws HsmError HSM_UNAVAILABLE while asynchronous calls are in flight, of whatever token of the library
   */
  restart(): void {
    if (this.#callsInFlight > 0)
      throw new HsmError('HSM_UNAVAILABLE', `${this.path} is not restarted while ${this.#callsInFlight} calls are in it`);
    this.#finalise();
    for (const user of this.#users) user.libraryRestarted();
    this.ensureInitialised();
  }

  #finaliseIfUnused(): void {
    if (this.#users.size === 0 && this.#callsInFlight === 0 && this.#initialised) this.#finalise();
  }

  #finalise(): void {
    this.#initialised = false;
    try {
      this.p11.C_Finalize();
    } catch {
      // Not initialised is what was wanted.
    }
  }
}
