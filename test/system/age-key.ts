// Makes keys, jobs or roots older than they are, as if so many days had gone by; nothing else is changed. Signed as key-lifecycle signs it, in the control
// token: MONGODB_URL=… node dist/test/system/age-key.js FOLDER LIBRARY DATABASE ID,ID,… DAYS

import { createPublicKey } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { tokenKeyLabels, trustedSigner } from '@claviger/hsm';
import { createInstallation, withToken } from '@claviger/installation';
import { signRecord, verifyRecord } from '@claviger/messaging';
import { MongoClient } from 'mongodb';

const [folder, libraryPath, database, ids, days] = process.argv.slice(2) as [string, string, string, string, string];
const kindOf = (id: string) =>
  id.startsWith('job_')
    ? { collection: 'jobs', typ: 'claviger-job-document+jws' }
    : id.startsWith('root')
      ? { collection: 'roots', typ: 'claviger-root-document+jws' }
      : { collection: 'keys', typ: 'claviger-key-document+jws' };
interface Stored {
  _id: string;
  signed: string;
  dueAt?: string | null;
  createdAt?: string;
  claimedUntil?: string | null;
}
const earlier = (time: string) => new Date(Date.parse(time) - Number(days) * 86_400_000).toISOString();
/** Every time in it. */
const aged = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(aged);
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([name, v]) => [name, aged(v)]));
  return typeof value === 'string' && /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value) ? earlier(value) : value;
};

const { place, trust } = createInstallation({ folder, libraryPath });
await withToken({ place, libraryPath }, 'control', async (token) => {
  const signer = trustedSigner(token, tokenKeyLabels.control.signing, trust.control);
  const trusted = new Map([
    [signer.kid, createPublicKey({ key: token.publicKeySpki(tokenKeyLabels.control.signing), format: 'der', type: 'spki' })],
  ]);
  const client = await MongoClient.connect(process.env.MONGODB_URL as string);
  for (const id of ids.split(',')) {
    const { collection, typ } = kindOf(id);
    const documents = client.db(database).collection<Stored>(collection);
    // Not while key-lifecycle has it in hand: what it does then, it does by what it has read before. A job that waits is in nobody's.
    const age = async () => {
      const now = new Date().toISOString();
      const free = collection === 'jobs' ? {} : { $or: [{ claimedUntil: null }, { claimedUntil: { $lte: now } }] };
      const found = await documents.findOne({ _id: id });
      if (!found) throw new Error(`there is no ${id}`);
      const signed = signRecord(typ, aged(verifyRecord(typ, found.signed, trusted)) as object, signer);
      const indexes = {
        ...(found.createdAt === undefined ? {} : { createdAt: earlier(found.createdAt), dueAt: found.dueAt ? earlier(found.dueAt) : null }),
        ...(collection === 'jobs' ? { claimedUntil: null } : {}),
      };
      const { matchedCount } = await documents.updateOne({ _id: id, signed: found.signed, ...free }, { $set: { signed, ...indexes } });
      return matchedCount === 1;
    };
    while (!(await age())) await delay(100);
  }
  await client.close();
});
