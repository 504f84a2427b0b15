import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { KeyDescription } from '@claviger/contracts';
import { cast } from '../demo/cast';
import { codeIn, type RawCaller } from './raw-caller';
import type { Chance } from './seeded';

/** A command that was answered with a result. */
export interface Acknowledged {
  requestId: string;
  operation: string;
  key: KeyDescription;
}

/** What was encrypted, to be decrypted when all is over. */
export interface Ciphertext {
  keyId: string;
  version: number;
  plaintext: string;
  ciphertext: string;
}

export interface Callers {
  kim: RawCaller;
  sam: RawCaller;
  payments: RawCaller;
}

interface Command {
  operation: string;
  by: keyof Callers;
  weight: number;
  fields?: (chance: Chance) => Record<string, unknown>;
}

const commands: readonly Command[] = [
  { operation: 'keys.rotate', by: 'kim', weight: 6 },
  { operation: 'keys.suspend', by: 'sam', weight: 4, fields: (chance) => ({ allowProcessing: chance.next() < 0.5 }) },
  { operation: 'keys.resume', by: 'sam', weight: 6 },
  { operation: 'keys.deactivate', by: 'kim', weight: 1 },
  { operation: 'keys.mark-compromised', by: 'sam', weight: 0.3 },
  { operation: 'keys.schedule-deletion', by: 'kim', weight: 3, fields: () => ({ waitDays: 7 }) },
  { operation: 'keys.cancel-deletion', by: 'kim', weight: 2 },
  { operation: 'keys.update', by: 'kim', weight: 3, fields: (chance) => ({ description: `note ${chance.between(1, 9)}` }) },
];
/** What it changes keys by. */
export const operationsOfTraffic: readonly string[] = ['keys.create', ...commands.map(({ operation }) => operation)];
/** How many of the next requests make a key. */
const createShare = 0.12;
/** How many encrypt under one. */
const encryptShare = 0.25;
/** Of these a caller picks, so that several callers change one key at once. */
const busyKeys = 12;
const thinkMs = 15;

/** Several callers that change the same keys at once. Each request is sent once; every answer, and every request without one, is remembered. */
export class KeyTraffic {
  readonly acknowledged: Acknowledged[] = [];
  readonly ciphertexts: Ciphertext[] = [];
  /** Request ids that no answer came for: it may have been done. */
  readonly unanswered: string[] = [];
  readonly refusals = new Map<string, number>();
  private readonly keyIds: string[] = [];
  private running = false;
  private loops: Promise<void>[] = [];
  private made = 0;

  constructor(private readonly chance: Chance) {}

  start(callers: Callers, concurrency: number): void {
    this.running = true;
    this.loops = Array.from({ length: concurrency }, () => this.loop(callers, this.chance.fork()));
  }

  /** Resolves when all that was asked is answered, or given up. */
  async stop(): Promise<void> {
    this.running = false;
    await Promise.all(this.loops);
  }

  private async loop(callers: Callers, chance: Chance): Promise<void> {
    while (this.running) {
      const share = chance.next();
      if (share < createShare || this.keyIds.length === 0) await this.create(callers.kim, chance);
      else if (share < createShare + encryptShare) await this.encrypt(callers.payments, chance);
      else {
        const { operation, by, fields } = chance.pick(commands, ({ weight }) => weight);
        await this.command(callers[by], operation, { keyId: this.some(chance), reason: 'crash rounds', ...fields?.(chance) });
      }
      await delay(thinkMs);
    }
  }

  private some(chance: Chance): string {
    return chance.pick(this.keyIds.slice(-busyKeys));
  }

  private async create(caller: RawCaller, chance: Chance): Promise<void> {
    // A name that is taken, now and then: what is made for it must not stay.
    const name = chance.next() < 0.1 && this.made > 0 ? `crash/${this.made}` : `crash/${++this.made}`;
    const algorithm = chance.pick(['AES_256', 'AES_256', 'ED25519', 'EC_P256']);
    await this.command(caller, 'keys.create', { name, algorithm, consumers: [cast.payments.id] });
  }

  private async command(caller: RawCaller, operation: string, fields: Record<string, unknown>): Promise<void> {
    const requestId = randomUUID();
    const reply = await caller.ask(operation, { ...fields, requestId }).catch(() => undefined);
    if (!reply) this.unanswered.push(requestId);
    else if ('problem' in reply) this.count(reply.problem.code);
    else {
      const key = (operation === 'keys.create' ? reply.result : (reply.result as { key: unknown }).key) as KeyDescription;
      this.acknowledged.push({ requestId, operation, key });
      if (operation === 'keys.create') this.keyIds.push(key.keyId);
    }
  }

  private async encrypt(caller: RawCaller, chance: Chance): Promise<void> {
    const keyId = this.some(chance);
    const plaintext = Buffer.from(`${keyId} ${chance.next()}`).toString('base64url');
    const reply = await caller.ask('crypto.encrypt', { keyId, plaintext }).catch(() => undefined);
    if (!reply || 'problem' in reply) return this.count(reply ? codeIn(reply) : 'no answer to encrypt');
    const { ciphertext } = reply.result as { ciphertext: string };
    const { kid } = JSON.parse(Buffer.from(ciphertext.split('.')[0] as string, 'base64url').toString()) as { kid: string };
    this.ciphertexts.push({ keyId, version: Number(kid.split('#')[1]), plaintext, ciphertext });
  }

  private count(code: string): void {
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
  }
}
