import { startFerretDb } from './ferretdb';
import { type Machine, readMachine } from './machine';
import { startMongoContainer } from './mongo-container';
import { startMongod } from './mongod';
import { until } from './until';

export interface DocumentStoreOptions {
  /** Its folder. A store started again in it has the same data. */
  readonly dir: string;
  readonly machine?: Machine;
}

export interface DocumentStore {
  readonly kind: Machine['store']['kind'];
  /** mongodb://…, for the driver as it is. */
  readonly url: string;
  readonly port: number;
  readonly dir: string;
  /** Of the process that listens; 0 for a server that is not ours. */
  readonly pid: number;
  logs(): string;
  stop(): Promise<void>;
  /** Ends all of its processes without warning. */
  kill9(): Promise<void>;
  /** Starts it again on the same port with the same data; stops it first when it runs. */
  restart(): Promise<void>;
}

/** Starts the document store that the set-up chose for this machine; resolves once it answers a command. */
export async function startDocumentStore({ dir, machine = readMachine() }: DocumentStoreOptions): Promise<DocumentStore> {
  const { store } = machine;
  switch (store.kind) {
    case 'ferretdb':
      return startFerretDb(store, dir);
    case 'mongod':
    case 'memory-server':
      return startMongod(store.kind, store.path, dir);
    case 'docker':
      return startMongoContainer(store.image, dir);
    case 'url':
      await storeAnswers(store.url, 10_000);
      return theirs(store.url, dir);
  }
}

/** A server that runs already: not ours to stop, so the faults that tests ask for cannot be had. */
function theirs(url: string, dir: string): DocumentStore {
  const refuse = () => Promise.reject(new Error('MONGODB_URL names a server that is not ours to stop. Unset it and run `npm run setup`'));
  return {
    kind: 'url',
    url,
    port: Number(new URL(url).port || 27017),
    dir,
    pid: 0,
    logs: () => '',
    stop: async () => {},
    kill9: refuse,
    restart: refuse,
  };
}

/** Resolves when the server at `url` answers. @throws after `timeoutMs` */
export async function storeAnswers(url: string, timeoutMs: number): Promise<void> {
  const { MongoClient } = await import('mongodb');
  await until(
    async () => {
      const client = new MongoClient(url, { serverSelectionTimeoutMS: 1_000, connectTimeoutMS: 1_000 });
      try {
        await client.db('admin').command({ ping: 1 });
        return true;
      } finally {
        await client.close();
      }
    },
    { what: 'the document store to answer', timeoutMs },
  );
}
