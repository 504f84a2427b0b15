import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { PackedError } from '@claviger/contracts';
import type { CallName, Elsewhere } from './steps';

/**
 * Cedar's module once more, in a thread of its own: what a new bundle takes to be read and checked does not keep requests waiting. It holds nothing that
 * decides: decisions are made in the thread that asks, from what this one found good. The thread is started with the first call, and again after it ended.
 */
export class CedarThread implements Elsewhere {
  #worker: Worker | undefined;
  #count = 0;
  readonly #waiting = new Map<number, { resolve: (answers: unknown[]) => void; reject: (error: Error) => void }>();

  call(name: CallName, calls: readonly (readonly unknown[])[]): Promise<unknown[]> {
    const worker = this.#started();
    const id = this.#count++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      // Somebody waits for the answer: the process does not end before.
      worker.ref();
      worker.postMessage({ id, name, calls });
    });
  }

  /** Somebody waits for an answer. */
  get busy(): boolean {
    return this.#waiting.size > 0;
  }

  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
    this.#fail(new Error('the thread was stopped'));
  }

  #started(): Worker {
    if (this.#worker) return this.#worker;
    const module = createRequire(import.meta.url).resolve('@cedar-policy/cedar-wasm/nodejs');
    const worker = new Worker(program, { eval: true, workerData: { module }, name: 'cedar' });
    worker.on('message', ({ id, answers, error, packed, trapped }: Reply) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) worker.unref();
      if (error === undefined) waiting?.resolve(answers as unknown[]);
      else waiting?.reject(packed ? new PackedError(error) : new Error(error));
      // Its module is ruined (nesting.ts); the next call gets another.
      if (trapped && this.#worker === worker) void this.stop();
    });
    const ended = (why: unknown) => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#fail(new Error('the thread ended', { cause: why }));
    };
    worker.on('error', ended);
    worker.on('exit', ended);
    this.#worker = worker;
    return worker;
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

interface Reply {
  readonly id: number;
  readonly answers?: unknown[];
  readonly error?: string;
  readonly packed?: boolean;
  readonly trapped?: boolean;
}

/** As text, so that it needs no file beside the program that it is bundled into. It knows Cedar and Node only. */
const program = `
const { parentPort, workerData } = require('node:worker_threads');
const { inflateRawSync } = require('node:zlib');
const cedar = require(workerData.module);
const documents = new Map();
let count = 0;
const long = 500;

function unpack({ deflated, bytes }) {
  let document;
  try {
    const inflated = inflateRawSync(Buffer.from(deflated, 'base64url'), { maxOutputLength: bytes });
    if (inflated.length !== bytes) throw new Error('another length');
    document = JSON.parse(inflated.toString('utf8'));
  } catch (cause) {
    throw Object.assign(new Error('what was packed is no JSON of the length that it says'), { packed: true });
  }
  const id = count++;
  const lists = {};
  const kept = {};
  if (typeof document === 'object' && document !== null && !Array.isArray(document))
    for (const name of Object.keys(document))
      if (Array.isArray(document[name]) && document[name].length > long) {
        lists[name] = document[name].length;
        kept[name] = document[name];
        document[name] = [];
      }
  if (Object.keys(lists).length > 0) documents.set(id, kept);
  return { id, document, lists };
}

function take(id, list, from, to) {
  const kept = documents.get(id);
  const items = kept[list].slice(from, to);
  if (to >= kept[list].length) delete kept[list];
  if (Object.keys(kept).length === 0) documents.delete(id);
  return items;
}

function probe(schema, requests) {
  const slot = 'claviger.probe';
  const held = cedar.preparseSchema(slot, schema);
  if (held.type === 'failure') return held;
  cedar.preparsePolicySet(slot, { staticPolicies: { probe: 'permit (principal, action, resource);' } });
  return requests.map((request) =>
    cedar.statefulIsAuthorized({ ...request, preparsedPolicySetId: slot, preparsedSchemaName: slot, validateRequest: true }),
  );
}

const calls = {
  splitPolicies: cedar.policySetTextToParts,
  policyToJson: cedar.policyToJson,
  schemaToJson: cedar.schemaToJson,
  validate: cedar.validate,
  probe,
  unpack,
  take,
};

parentPort.on('message', ({ id, name, calls: asked }) => {
  try {
    parentPort.postMessage({ id, answers: asked.map((args) => calls[name](...args)) });
  } catch (error) {
    const trapped = error && error.name === 'RuntimeError';
    parentPort.postMessage({ id, error: String(error && error.message), packed: Boolean(error && error.packed), trapped });
  }
});
`;
