import { randomBytes } from 'node:crypto';
import type { TokenKey } from '@claviger/contracts';
import type { Collection, Db } from 'mongodb';
import { reached } from './key-store';
import type { SignedDocuments } from './signed-documents';

/** The name that an object of a token gets if the key is made there, kept until the key's document names it. */
export interface Reservation {
  label: string;
  keyId: string;
  /** RFC 3339, UTC: the material was asked for then. */
  at: string;
  /** Where it was made, once it is known that no document will name it. */
  abandonedIn?: string;
}

interface ReservationDocument {
  _id: string;
  /** Signed: whoever writes to the store must not be able to have the object of a living key destroyed. */
  signed: string;
  /** A hint where to look; what is signed decides. */
  at: string;
  /** What is asked for is in the ledger. */
  recorded?: true;
  claimedUntil?: string | null;
}

/** One that a sweep has in hand. */
export interface DueReservation {
  label: string;
  recorded: boolean;
  /** Throws TamperedDocument. */
  read: () => Reservation;
}

/**
 * Names of token objects that are being made. A crash between the making of an object and the document that names it leaves an object that nobody would
 * ever find: the name stands here before, so that it is known what to look for, and only what this installation itself has asked for is ever destroyed.
 */
export class Reservations {
  private readonly reservations: Collection<ReservationDocument>;

  constructor(
    db: Db,
    private readonly documents: SignedDocuments,
  ) {
    this.reservations = db.collection('reservations');
  }

  async reserve(keyId: string, at: string): Promise<string> {
    const label = `key-${randomBytes(12).toString('hex')}`;
    await reached(() => this.reservations.insertOne({ _id: label, at, signed: this.documents.signReservation({ label, keyId, at }) }));
    return label;
  }

  /** The document names it now, or nothing of that name was made, or it is destroyed. */
  async release(label: string): Promise<void> {
    await reached(() => this.reservations.deleteOne({ _id: label }));
  }

  /** No document names it and none will: the next sweep destroys it, whatever its age. */
  async abandon(keyId: string, { token, label }: TokenKey, at: string): Promise<void> {
    const signed = this.documents.signReservation({ label, keyId, at, abandonedIn: token });
    await reached(() => this.reservations.updateOne({ _id: label }, { $set: { at: new Date(0).toISOString(), signed } }));
  }

  /** Names reserved before then, which no other sweep has in hand. */
  async due(before: string, now: string, limit: number, after = ''): Promise<string[]> {
    const found = await reached(() =>
      this.reservations
        .find({ _id: { $gt: after }, at: { $lte: before }, ...free(now) }, { projection: { _id: 1 } })
        .sort({ _id: 1 })
        .limit(limit)
        .toArray(),
    );
    return found.map(({ _id }) => _id);
  }

  /** For one sweep alone; undefined when another one has it, or it is released. */
  async claim(label: string, now: string, until: string): Promise<DueReservation | undefined> {
    const found = await reached(() => this.reservations.findOneAndUpdate({ _id: label, ...free(now) }, { $set: { claimedUntil: until } }));
    if (!found) return undefined;
    return { label, recorded: found.recorded === true, read: () => this.documents.readReservation(label, found.signed) };
  }

  async recorded(label: string): Promise<void> {
    await reached(() => this.reservations.updateOne({ _id: label }, { $set: { recorded: true } }));
  }
}

const free = (now: string) => ({ $or: [{ claimedUntil: null }, { claimedUntil: { $lte: now } }] });
