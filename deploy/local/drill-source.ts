import { type Client, connect } from '@claviger/client';
import { limits } from '@claviger/contracts';
import { builtProgram, readMachine, runCommand, until, workspaceRoot } from '@claviger/testing';
import type { Stack, StackPrincipal } from './stack';

/** Who takes part in a drill. */
export const people = {
  administrator: { id: 'drill-administrator', kind: 'person', roles: ['key-administrator'], mfa: true },
  operator: { id: 'drill-operator', kind: 'person', roles: ['operator'], mfa: true },
  auditor: { id: 'drill-auditor', kind: 'person', roles: ['auditor'] },
  officer: { id: 'drill-officer', kind: 'person', roles: ['security-officer'], mfa: true },
  application: { id: 'drill-application', kind: 'service', roles: ['application'] },
} as const satisfies Record<string, StackPrincipal>;
export type Role = keyof typeof people;
export const custodians = ['first-custodian', 'second-custodian', 'third-custodian'] as const;

/** A connection with a fresh token: tokens last 15 minutes, and a large drill longer. */
export async function as<T>(site: Stack, role: Role, work: (client: Client) => Promise<T>): Promise<T> {
  const { id } = people[role];
  const tokens = await site.tokens([people[role]]);
  const client = await connect({ servers: site.broker.url, principal: id, credential: { token: tokens[id] as string }, timeoutMs: 30_000 });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

const algorithms = [
  'AES_256',
  'AES_256',
  'AES_256',
  'AES_256',
  'HMAC_SHA_256',
  'EC_P256',
  'AES_128',
  'HMAC_SHA_512',
  'EC_P384',
  'EC_SECP256K1',
] as const;
/** RSA primes are found by luck: a pair takes a second. */
const slowKeys = 3;

export interface Ciphertext {
  keyId: string;
  ciphertext: string;
  plaintext: string;
}
export interface Generated {
  keys: number;
  /** What an application had encrypted before the disaster. */
  ciphertexts: Ciphertext[];
  /** Destroyed before the backup, and after it. */
  destroyedBefore: string;
  destroyedAfter: string;
  suspendedAfter: string;
}

/** Its key encrypts by this name before and after. */
export const drillAlias = 'alias/drill/main';
/** Taken away before the backup. */
export const deletedAlias = 'alias/drill/gone';

/** So many keys of all kinds, some of them in use, one of them destroyed. */
export async function generate(site: Stack, count: number, report: (line: string) => void): Promise<Generated> {
  const { application } = people;
  const ids = await as(site, 'administrator', async (client) => {
    const made: string[] = [];
    for (let first = 0; first < count; first += limits.batchItems) {
      const items = Array.from({ length: Math.min(limits.batchItems, count - first) }, (_, i) => {
        const n = first + i;
        const algorithm = n < slowKeys ? ('RSA_2048' as const) : (algorithms[n % algorithms.length] as (typeof algorithms)[number]);
        return { name: `drill/key-${n}`, algorithm, consumers: [application.id] };
      });
      const { results } = await client.keys.createBatch({ items });
      for (const one of results) {
        if (!('result' in one)) throw new Error(`a key could not be made: ${one.problem.code} ${one.problem.detail}`);
        made.push(one.result.keyId);
      }
      if (made.length % 2_000 === 0) report(`${made.length} of ${count} keys`);
    }
    return made;
  });
  const aes = ids.filter((_, n) => n >= slowKeys && algorithms[n % algorithms.length]?.startsWith('AES'));
  const [destroyedBefore, destroyedAfter, suspendedAfter, ...others] = aes as [string, string, string, ...string[]];
  const ciphertexts = await as(site, 'application', (client) =>
    Promise.all(
      [destroyedAfter, suspendedAfter, ...others.slice(0, 20)].map(async (keyId, i): Promise<Ciphertext> => {
        const plaintext = `record ${i}`;
        const { ciphertext } = await client.crypto.encrypt({ keyId, plaintext: Buffer.from(plaintext), context: { drill: 'dr' } });
        return { keyId, ciphertext: String(ciphertext), plaintext };
      }),
    ),
  );
  await as(site, 'administrator', async ({ keys }) => {
    const keyId = others[0] as string;
    for (const alias of [drillAlias, deletedAlias]) await keys.setAlias({ alias, keyId, reason: 'drill' });
    await keys.deleteAlias({ alias: deletedAlias, reason: 'drill' });
  });
  await destroy(site, destroyedBefore);
  return { keys: count, ciphertexts, destroyedBefore, destroyedAfter, suspendedAfter };
}

/** Scheduled, and its waiting period over at once: the drill has no week. */
export async function destroy(site: Stack, keyId: string): Promise<void> {
  await as(site, 'administrator', (client) => client.keys.scheduleDeletion({ keyId, waitDays: 7, reason: 'drill' }));
  const cwd = workspaceRoot();
  const program = await builtProgram('test/system/age-key.ts');
  const args = [site.installationFolder, readMachine().pkcs11.libraryPath, `${site.databasePrefix}keys`, keyId, '8'];
  const env = { PATH: process.env.PATH, MONGODB_URL: site.storeUrl };
  await runCommand(process.execPath, [program, ...args], { cwd, env });
  await as(site, 'administrator', (client) =>
    until(async () => (await client.keys.describe({ keyId })).versions.every(({ state }) => state === 'destroyed'), {
      what: `key ${keyId} to be destroyed`,
      timeoutMs: 60_000,
      everyMs: 250,
    }),
  );
}
