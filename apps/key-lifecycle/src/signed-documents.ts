import type { KeyObject } from 'node:crypto';
import { cryptoperiods, DestructionCertificate, destructionCertificateType, type TokenKey } from '@claviger/contracts';
import { type RecordSigner, SigningTogether, signRecord, verifyRecord } from '@claviger/messaging';
import type { KeyAlias } from './alias';
import type { Destruction } from './destruction';
import type { ImportParameters } from './import-parameters';
import type { Invocations } from './invocations';
import { type EarlierKek, type Kek, kekAsNow } from './kek';
import type { Key, KeyVersion } from './key';
import type { Reservation } from './reservations';
import type { RewrapJob } from './rewrap-job';
import type { Root } from './root';
import type { ToldOfToken } from './token-tale';
import type { Told } from './warnings';

/** A document whose signature does not fit: somebody changed it behind this service's back. It is not used. */
export class TamperedDocument extends Error {
  constructor(
    readonly id: string,
    cause: unknown,
  ) {
    super(`document ${id} is not what this service signed`, { cause });
    this.name = 'TamperedDocument';
  }
}

/**
 * Keys and KEKs are stored as compact JWS signed in the control token, so that whoever can write to the document store still cannot resume a
 * key, lend it to another consumer or exchange its material. A document that was put back in an older state, or is gone, is told by the newest
 * revision that the bucket has.
 */
export class SignedDocuments {
  private readonly together: SigningTogether;

  constructor(
    private readonly signer: RecordSigner,
    private readonly trusted: ReadonlyMap<string, KeyObject>,
    /** The newest revision of a key or KEK that the workers have, where that is known. A document is never older: it is written first. */
    readonly delivered: (id: string) => number | undefined = () => undefined,
  ) {
    this.together = new SigningTogether(signer);
  }

  /** Those of one turn with one signature. */
  signKey = (key: Key): Promise<string> => this.together.sign('claviger-key-document+jws', key);
  signKek = (kek: Kek): string => signRecord('claviger-kek-document+jws', kek, this.signer);

  signInvocations = (invocations: Invocations): Promise<string> => this.together.sign('claviger-invocations+jws', invocations);

  readInvocations(keyId: string, signed: string): Invocations {
    const invocations = this.verified<Invocations>(keyId, 'claviger-invocations+jws', signed);
    if (invocations.keyId !== keyId) throw new TamperedDocument(keyId, `it holds the invocations of ${invocations.keyId}`);
    return invocations;
  }

  signTold = (told: Told): string => signRecord('claviger-told+jws', told, this.signer);

  readTold(keyId: string, signed: string): Told {
    const told = this.verified<Told>(keyId, 'claviger-told+jws', signed);
    if (told.keyId !== keyId) throw new TamperedDocument(keyId, `it holds what was told of ${told.keyId}`);
    return told;
  }

  signToldOfToken = (told: ToldOfToken): string => signRecord('claviger-told-of-token+jws', told, this.signer);

  readToldOfToken(label: string, signed: string): ToldOfToken {
    const told = this.verified<ToldOfToken>(label, 'claviger-told-of-token+jws', signed);
    if (told.label !== label) throw new TamperedDocument(label, `it holds what was told of token ${told.label}`);
    return told;
  }

  signImport = (parameters: ImportParameters): string => signRecord('claviger-import-parameters+jws', parameters, this.signer);

  readImport(keyId: string, signed: string): ImportParameters {
    const parameters = this.verified<ImportParameters>(keyId, 'claviger-import-parameters+jws', signed);
    if (parameters.keyId !== keyId) throw new TamperedDocument(keyId, `it holds the import parameters of ${parameters.keyId}`);
    return parameters;
  }

  signAbandoned = (keyId: string, object: TokenKey): string => signRecord('claviger-abandoned-key+jws', { keyId, object }, this.signer);

  readAbandoned(keyId: string, signed: string): TokenKey {
    const found = this.verified<{ keyId: string; object: TokenKey }>(keyId, 'claviger-abandoned-key+jws', signed);
    if (found.keyId !== keyId) throw new TamperedDocument(keyId, `it has an object of ${found.keyId} destroyed`);
    return found.object;
  }

  signReservation = (reservation: Reservation): string => signRecord('claviger-reservation+jws', reservation, this.signer);

  readReservation(label: string, signed: string): Reservation {
    const reservation = this.verified<Reservation>(label, 'claviger-reservation+jws', signed);
    if (reservation.label !== label) throw new TamperedDocument(label, `it holds the reservation of ${reservation.label}`);
    return reservation;
  }

  /** What a certificate will say, for the outbox: it is issued when all that it says is true. */
  signDestruction = (destruction: Destruction): string => signRecord('claviger-destruction+jws', destruction, this.signer);

  readDestruction(keyId: string, signed: string): Destruction {
    const destruction = this.verified<Destruction>(keyId, 'claviger-destruction+jws', signed);
    if (destruction.keyId !== keyId) throw new TamperedDocument(keyId, `it certifies the destruction of ${destruction.keyId}`);
    return destruction;
  }

  signCertificate(certificate: DestructionCertificate): string {
    return signRecord(destructionCertificateType, certificate, this.signer);
  }

  readCertificate(keyId: string, signed: string): DestructionCertificate {
    const certificate = DestructionCertificate.parse(this.verified(keyId, destructionCertificateType, signed));
    if (certificate.keyId !== keyId) throw new TamperedDocument(keyId, `it has the certificate of ${certificate.keyId}`);
    return certificate;
  }

  readKey(keyId: string, revision: number, signed: string): Key {
    const key = this.verified<Key>(keyId, 'claviger-key-document+jws', signed);
    if (key.keyId !== keyId || key.revision !== revision)
      throw new TamperedDocument(keyId, `it holds revision ${key.revision} of ${key.keyId}`);
    return asNow(key);
  }

  readKek(kekId: string, signed: string): Kek {
    const kek = this.verified<Kek | EarlierKek>(kekId, 'claviger-kek-document+jws', signed);
    if (kek.kekId !== kekId) throw new TamperedDocument(kekId, `it holds ${kek.kekId}`);
    return kekAsNow(kek);
  }

  signAlias = (alias: KeyAlias): string => signRecord('claviger-alias-document+jws', alias, this.signer);

  readAlias(id: string, revision: number, signed: string): KeyAlias {
    const alias = this.verified<KeyAlias>(id, 'claviger-alias-document+jws', signed);
    if (alias.alias !== id || alias.revision !== revision)
      throw new TamperedDocument(id, `it holds revision ${alias.revision} of ${alias.alias}`);
    return alias;
  }

  signRoot = (root: Root): string => signRecord('claviger-root-document+jws', root, this.signer);

  readRoot(label: string, signed: string): Root {
    const root = this.verified<Root>(label, 'claviger-root-document+jws', signed);
    if (root.label !== label) throw new TamperedDocument(label, `it holds root ${root.label}`);
    return root;
  }

  signJob = (job: RewrapJob): string => signRecord('claviger-job-document+jws', job, this.signer);

  readJob(jobId: string, signed: string): RewrapJob {
    const job = this.verified<RewrapJob>(jobId, 'claviger-job-document+jws', signed);
    if (job.jobId !== jobId) throw new TamperedDocument(jobId, `it holds ${job.jobId}`);
    return job;
  }

  private verified<T>(id: string, typ: string, signed: string): T {
    try {
      return verifyRecord(typ, signed, this.trusted) as T;
    } catch (error) {
      throw new TamperedDocument(id, error);
    }
  }
}

/** A key that was stored before versions had all their transitions, and keys a cryptoperiod. */
function asNow(stored: Key | EarlierKey): Key {
  const versions = stored.versions.map((version) => {
    if (!('changedAt' in version)) return version;
    const { changedAt, reason, ...rest } = version;
    const { state, createdAt } = rest;
    const activatedAt = state === 'pre-activation' ? {} : { activatedAt: createdAt };
    return { ...rest, ...activatedAt, transitions: [{ to: state, at: changedAt, reason }] };
  });
  return { ...stored, cryptoperiod: stored.cryptoperiod ?? cryptoperiods[stored.usage], versions };
}
type EarlierVersion = Omit<KeyVersion, 'transitions' | 'activatedAt'> & { changedAt: string; reason: string };
type EarlierKey = Omit<Key, 'cryptoperiod' | 'versions'> & { cryptoperiod?: undefined; versions: EarlierVersion[] };
