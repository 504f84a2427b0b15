import { createHash } from 'node:crypto';

export interface MarkBody {
  id: string;
  revision: number;
  count: number;
  sum: string;
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

const element = ({ id, revision }: { id: string; revision: number }) =>
  BigInt(`0x${createHash('sha256').update(`${id}|${revision}`).digest('hex')}`);
