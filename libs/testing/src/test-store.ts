import { randomBytes } from 'node:crypto';
import { startDocumentStore } from './document-store';
import { temporaryFolder } from './workspace';

export interface TestStore {
  readonly url: string;
  /** A name that no other opener of this server uses: a prefix of ours and `name`. */
  databaseName(name: string): string;
  /** Drops the databases of this prefix, and stops the server if it was started for us. */
  stop(): Promise<void>;
}

/** One server serves a whole test run (tools/test.mjs starts it and names it here); a spec that runs alone starts its own. */
export async function openTestStore(): Promise<TestStore> {
  const prefix = `t${randomBytes(5).toString('hex')}_`;
  const databaseName = (name: string) => `${prefix}${name}`;
  const shared = process.env.CLAVIGER_TEST_STORE_URL;
  if (shared) return { url: shared, databaseName, stop: () => dropDatabases(shared, prefix) };
  const dir = await temporaryFolder('store');
  const store = await startDocumentStore({ dir: dir.path });
  return {
    url: store.url,
    databaseName,
    async stop() {
      if (store.kind === 'url') await dropDatabases(store.url, prefix);
      await store.stop();
      await dir.remove();
    },
  };
}

async function dropDatabases(url: string, prefix: string): Promise<void> {
  const { MongoClient } = await import('mongodb');
  const client = new MongoClient(url);
  try {
    const { databases } = await client.db().admin().listDatabases({ nameOnly: true });
    for (const { name } of databases) if (name.startsWith(prefix)) await client.db(name).dropDatabase();
  } finally {
    await client.close();
  }
}
