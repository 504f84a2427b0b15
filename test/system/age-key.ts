// Makes keys older than they are, as if so many days had gone by; nothing else is changed. Signed as key-lifecycle signs it, in the control token:
// MONGODB_URL=… node dist/test/system/age-key.js FOLDER LIBRARY DATABASE KEY,KEY,… DAYS

import { createPublicKey } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { tokenKeyLabels, trustedSigner } from '@claviger/hsm';
import { createInstallation, withToken } from '@claviger/installation';
import { signRecord, verifyRecord } from '@claviger/messaging';
import { MongoClient } from 'mongodb';

const [folder, libraryPath, database, keyIds, days] = process.argv.slice(2) as [string, string, string, string, string];
const typ = 'claviger-key-document+jws';
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
  const keys = client
    .db(database)
    .collection<{ _id: string; signed: string; dueAt: string | null; createdAt: string; claimedUntil?: string | null }>('keys');
  for (const keyId of keyIds.split(',')) {
    // Not while key-lifecycle has it in hand: what it does then, it does by what it has read before.
    const age = async () => {
      const now = new Date().toISOString();
      const free = { $or: [{ claimedUntil: null }, { claimedUntil: { $lte: now } }] };
      const found = await keys.findOne({ _id: keyId });
      if (!found) throw new Error(`there is no key ${keyId}`);
      const signed = signRecord(typ, aged(verifyRecord(typ, found.signed, trusted)) as object, signer);
      const indexes = { dueAt: found.dueAt && earlier(found.dueAt), createdAt: earlier(found.createdAt) };
      const { matchedCount } = await keys.updateOne({ _id: keyId, signed: found.signed, ...free }, { $set: { signed, ...indexes } });
      return matchedCount === 1;
    };
    while (!(await age())) await delay(100);
  }
  await client.close();
});
