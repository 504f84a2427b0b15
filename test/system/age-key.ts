// Makes a key older than it is, as if so many days had gone by; nothing else is changed. Signed as key-lifecycle signs it, in the control token:
// MONGODB_URL=… node dist/test/system/age-key.js FOLDER LIBRARY DATABASE KEY DAYS

import { createPublicKey } from 'node:crypto';
import { readPin, Token, tokenKeyLabels, trustedSigner } from '@claviger/hsm';
import { createInstallation } from '@claviger/installation';
import { signRecord, verifyRecord } from '@claviger/messaging';
import { MongoClient } from 'mongodb';

const [folder, libraryPath, database, keyId, days] = process.argv.slice(2) as [string, string, string, string, string];
const typ = 'claviger-key-document+jws';
const earlier = (time: string) => new Date(Date.parse(time) - Number(days) * 86_400_000).toISOString();
/** Every time in it. */
const aged = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(aged);
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([name, v]) => [name, aged(v)]));
  return typeof value === 'string' && /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value) ? earlier(value) : value;
};

const { place, trust } = createInstallation({ folder, libraryPath });
process.env.SOFTHSM2_CONF = place.softhsmConf('control');
const token = Token.open({
  libraryPath,
  tokenLabel: 'control',
  pin: readPin(place.pinFile('control')),
  canary: tokenKeyLabels.control.signing,
});
const signer = trustedSigner(token, tokenKeyLabels.control.signing, trust.control);
const trusted = new Map([
  [signer.kid, createPublicKey({ key: token.publicKeySpki(tokenKeyLabels.control.signing), format: 'der', type: 'spki' })],
]);
const client = await MongoClient.connect(process.env.MONGODB_URL as string);
const keys = client.db(database).collection<{ _id: string; signed: string; dueAt: string | null }>('keys');
const found = await keys.findOne({ _id: keyId });
if (!found) throw new Error(`there is no key ${keyId}`);
const signed = signRecord(typ, aged(verifyRecord(typ, found.signed, trusted)) as object, signer);
await keys.updateOne({ _id: keyId, signed: found.signed }, { $set: { signed, dueAt: found.dueAt && earlier(found.dueAt) } });
await client.close();
token.close();
