import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@claviger/client';
import { ClavigerError } from '@claviger/client';
import type { Receipt } from '@claviger/contracts';
import { until } from '@claviger/testing';
import { expect } from '@jest/globals';
import type { LedgerCopy } from './ledger';
import { codeIn, type RawCaller } from './raw-caller';

interface Answered {
  requestId: string;
  code: string;
  receipt: Receipt | undefined;
}

type Ask = (requestId: string) => Promise<{ code: string; receipt: Receipt | undefined }>;

/** Between an answer and the caller's next request, milliseconds: without it the callers take the processor from what they are to watch. */
const thinkMs = 25;

/** Callers that each ask again soon after they are answered, until they are told to stop. Remembers every answer, and every request without one. */
export class Load {
  readonly answered: Answered[] = [];
  readonly unanswered: string[] = [];
  private static readonly started = new Set<Load>();
  private running = true;
  private readonly callers: Promise<void>[];

  constructor(
    private readonly ask: Ask,
    concurrency: number,
  ) {
    this.callers = Array.from({ length: concurrency }, () => this.call());
    Load.started.add(this);
  }

  /** Also what a failed test has left running. */
  static async stopAll(): Promise<void> {
    await Promise.all([...Load.started].map((load) => load.stop()));
    Load.started.clear();
  }

  /** Through the client library: repeats what is safe to repeat. */
  static ofClient(client: Client, keyId: string, concurrency = 16): Load {
    return new Load(async (requestId) => {
      try {
        const { receipt } = await client.crypto.encrypt({ keyId, plaintext: Buffer.from('load') }, { requestId });
        return { code: 'OK', receipt };
      } catch (error) {
        if (error instanceof ClavigerError && error.code !== 'ERR_TIMEOUT' && error.code !== 'ERR_CONNECTION')
          return { code: error.code, receipt: error.receipt };
        throw error;
      }
    }, concurrency);
  }

  /** Each request is sent once. */
  static ofRaw(caller: RawCaller, keyId: string, concurrency = 16): Load {
    return new Load(async (requestId) => {
      const reply = await caller.ask('crypto.encrypt', { keyId, plaintext: 'bG9hZA', requestId });
      return { code: codeIn(reply), receipt: reply.receipt };
    }, concurrency);
  }

  /** Resolves once `count` more were answered with a result. */
  async more(count: number, what: string): Promise<void> {
    const wanted = this.succeeded + count;
    await until(() => this.succeeded >= wanted, { what: `${count} more answers ${what}`, timeoutMs: 45_000 });
  }

  async stop(): Promise<void> {
    this.running = false;
    await Promise.all(this.callers);
  }

  codes(): string[] {
    return [...new Set(this.answered.map(({ code }) => code))].sort();
  }

  /** Every answer that names a record has it, and it is the record of that request; no two answers share one. */
  async hasItsRecords(ledger: LedgerCopy): Promise<void> {
    const receipts = this.answered.flatMap(({ receipt }) => (receipt ? [receipt] : []));
    expect(receipts.length).toBeGreaterThanOrEqual(this.succeeded);
    await ledger.with(receipts);
    const wrong = this.answered.filter(({ receipt, requestId }) => receipt && ledger.at(receipt)?.requestId !== requestId);
    expect(wrong).toEqual([]);
    const named = receipts.map(({ worker, epoch, seq, index }) => `${worker} ${epoch} ${seq} ${index}`);
    expect(new Set(named).size).toBe(named.length);
  }

  private succeeded = 0;

  private async call(): Promise<void> {
    while (this.running) {
      const requestId = randomUUID();
      try {
        const { code, receipt } = await this.ask(requestId);
        if (code === 'OK') this.succeeded++;
        this.answered.push({ requestId, code, receipt });
      } catch {
        this.unanswered.push(requestId);
      }
      await delay(thinkMs);
    }
  }
}
