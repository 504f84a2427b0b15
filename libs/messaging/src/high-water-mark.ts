import { createHash } from 'node:crypto';

export interface MarkBody {
  id: string;
  revision: number;
  count: number;
  sum: string;
  /** Of the same set; absent in marks from before there was one, and of buckets that nobody reads by headers. */
  digest?: string | undefined;
  asOf: string;
}

const modulus = 1n << 256n;

/**
 * Σ SHA-256(id ‖ "|" ‖ revision) mod 2^256: a set hash that is updated in constant time. Its elements are records that the owner signed, so
 * nobody else can choose them to make a sum collide.
 */
export class RevisionSum {
  private count = 0;
  private sum = 0n;

  add(record: { id: string; revision: number }): void {
    this.count++;
    this.sum = (this.sum + element(record)) % modulus;
  }

  remove(record: { id: string; revision: number }): void {
    this.count--;
    this.sum = (this.sum - element(record) + modulus) % modulus;
  }

  read(): { count: number; sum: string } {
    return { count: this.count, sum: Buffer.from(this.sum.toString(16).padStart(64, '0'), 'hex').toString('base64url') };
  }
}

const lanes = 1_024;

/**
 * LtHash16 (Lewi, Kim, Maykov, Weis, IACR ePrint 2019/227): Σ SHAKE-256(id ‖ "|" ‖ revision) as 1,024 lanes of 16 bits, each mod 2^16, and of that a SHA-256. Unlike
 * a sum of 256 bits it stands also where somebody else chooses the elements, as they may of headers, which nobody signed: among many elements of their choice
 * some would add up to a sum of 256 bits (Wagner 2002). Each id is in it once, so no element comes 2^16 times.
 */
export class SetDigest {
  private readonly state = new Uint16Array(lanes);
  private digest: string | undefined;

  add(record: { id: string; revision: number }): void {
    const { state } = this;
    const element = lanesOf(record);
    for (let i = 0; i < lanes; i++) state[i]! += element[i]!;
    this.digest = undefined;
  }

  remove(record: { id: string; revision: number }): void {
    const { state } = this;
    const element = lanesOf(record);
    for (let i = 0; i < lanes; i++) state[i]! -= element[i]!;
    this.digest = undefined;
  }

  read(): string {
    this.digest ??= createHash('sha256').update(this.state).digest('base64url');
    return this.digest;
  }
}

const lanesOf = ({ id, revision }: { id: string; revision: number }): Uint16Array =>
  new Uint16Array(
    new Uint8Array(
      createHash('shake256', { outputLength: 2 * lanes })
        .update(`${id}|${revision}`)
        .digest(),
    ).buffer,
  );

const element = ({ id, revision }: { id: string; revision: number }) =>
  BigInt(`0x${createHash('sha256').update(`${id}|${revision}`).digest('hex')}`);
