import { appliedSubject, cryptoOperations, type KeyView, type Result, requestType, sessionIn } from '@claviger/contracts';
import { HsmError } from '@claviger/hsm';
import { RecordedProblem, type RequestContext } from '@claviger/messaging';
import { until } from '@claviger/testing';
import { afterAll, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { decodeProtectedHeader } from 'jose';
import { codeOf } from './answers';
import { startWorker, type Worker } from './worker-under-test';

const type = requestType;
let w: Worker;
let caller: Awaited<ReturnType<Worker['caller']>>;
const allow: Worker['said']['decision'] = { kind: 'allow', code: 'permitted', policyIds: ['p1'], reason: 'test' };

beforeAll(async () => {
  w = await startWorker();
}, 120_000);
afterAll(() => w.stop());
beforeEach(async () => {
  caller = await w.caller();
  w.said.decision = allow;
});

const plaintext = Buffer.from('the plaintext').toString('base64url');
const encrypt = (key: Pick<KeyView, 'keyId'>, from: RequestContext = caller, context?: Record<string, string>) => {
  const request = { type, keyId: key.keyId, plaintext, ...(context ? { context } : {}) } as const;
  return w.recorded.ofKey(cryptoOperations.encrypt, request, from, (record) => w.operations.encrypt(request, record));
};
const decrypt = (key: Pick<KeyView, 'keyId'>, ciphertext: string, context?: Record<string, string>) => {
  const request = { type, keyId: key.keyId, ciphertext, ...(context ? { context } : {}) } as const;
  return w.recorded.ofKey(cryptoOperations.decrypt, request, caller, (record) => w.operations.decrypt(request, record));
};
const ciphertextOf = async (answer: Promise<{ result: unknown }>) =>
  ((await answer).result as Result<(typeof cryptoOperations)['encrypt']>).ciphertext;
const records = () => w.recordsOf(caller.session);

test('a use is answered, and recorded once with what it was decided on; the ciphertext is a JWE that only this key and context open', async () => {
  const key = await w.put(await w.key());
  const context = { tenant: 'acme' };
  const ciphertext = await ciphertextOf(encrypt(key, caller, context));
  expect(decodeProtectedHeader(ciphertext)).toMatchObject({ alg: 'dir', enc: 'A256GCM', kid: `${key.keyId}#1` });
  expect(ciphertext).not.toContain('acme');
  expect(await decrypt(key, ciphertext, context)).toMatchObject({ result: { plaintext, version: 1 } });
  expect(await codeOf(decrypt(key, ciphertext, { tenant: 'other' }))).toBe('ERR_DECRYPTION_FAILED');
  expect(await codeOf(decrypt(await w.put(await w.key()), ciphertext, context))).toBe('ERR_DECRYPTION_FAILED');
  const [first, ...rest] = await records();
  expect(first).toMatchObject({
    action: 'crypto:Encrypt',
    principal: 'payments-api',
    ip: 'commitment-to-ip',
    mfa: true,
    keyId: key.keyId,
    version: 1,
    outcome: 'success',
    policies: ['p1'],
    revisions: { key: 1, session: 1, bundle: 3 },
    context,
    bytes: 13,
  });
  expect(rest.map((r) => [r.action, r.outcome, r.code])).toEqual([
    ['crypto:Decrypt', 'success', undefined],
    ['crypto:Decrypt', 'failed', 'ERR_DECRYPTION_FAILED'],
    ['crypto:Decrypt', 'failed', 'ERR_DECRYPTION_FAILED'],
  ]);
  expect(JSON.stringify([first, rest])).not.toContain(plaintext);
});

test('every way in which a ciphertext is wrong looks the same to a caller', async () => {
  const key = await w.put(await w.key());
  const good = await ciphertextOf(encrypt(key));
  const [header, , iv, body, tag] = good.split('.') as [string, string, string, string, string];
  const flipped = (text: string) => `${text[0] === 'A' ? 'B' : 'A'}${text.slice(1)}`;
  const forged = Buffer.from(JSON.stringify({ alg: 'dir', enc: 'A256GCM', kid: `${key.keyId}#7` })).toString('base64url');
  for (const wrong of [
    `${header}..${flipped(iv)}.${body}.${tag}`,
    `${header}..${iv}.${flipped(body)}.${tag}`,
    `${header}..${iv}.${body}.${flipped(tag)}`,
    `${header}..${iv}..${tag}`,
    `${forged}..${iv}.${body}.${tag}`,
  ]) {
    const said = await decrypt(key, wrong).catch((error: RecordedProblem) => error.problem);
    expect(said).toMatchObject({ code: 'ERR_DECRYPTION_FAILED', detail: undefined });
  }
  expect(await decrypt(key, good)).toMatchObject({ result: { plaintext } });
});

test('after a rotation the new version protects and old ciphertexts still open', async () => {
  const key = await w.put(await w.key());
  const old = await ciphertextOf(encrypt(key));
  await w.put({
    ...key,
    revision: 2,
    primaryVersion: 2,
    versions: [{ ...key.versions[0], state: 'deactivated' } as never, await w.version(2, 'AES_256')],
  });
  expect(await encrypt(key)).toMatchObject({ result: { version: 2 } });
  expect(await decrypt(key, old)).toMatchObject({ result: { version: 1, plaintext } });
});

test('signatures verify under the version that made them, a data key opens to what was given', async () => {
  const key = await w.put(await w.key('EC_P256'));
  const message = Buffer.from('a contract').toString('base64url');
  const sign = { type, keyId: key.keyId, message } as const;
  const signed = await w.recorded.ofKey(cryptoOperations.sign, sign, caller, (k) => w.operations.sign(sign, k));
  const { signature } = signed.result as { signature: string };
  const verify = (more: { message?: string; version?: number }) => {
    const request = { type, keyId: key.keyId, message, signature, ...more } as const;
    return w.recorded.ofKey(cryptoOperations.verify, request, caller, (k) => w.operations.verify(request, k));
  };
  expect(await verify({})).toMatchObject({ result: { valid: true, version: 1 } });
  expect(await verify({ message: Buffer.from('another').toString('base64url') })).toMatchObject({ result: { valid: false } });
  expect(await codeOf(verify({ version: 9 }))).toBe('ERR_NOT_FOUND');
  const both = { type, keyId: key.keyId, message, digest: 'A'.repeat(43) } as const;
  expect(await codeOf(w.recorded.ofKey(cryptoOperations.sign, both, caller, (k) => w.operations.sign(both, k)))).toBe(
    'ERR_MALFORMED_REQUEST',
  );

  const wrapping = await w.put(await w.key());
  const generate = (withPlaintext: boolean) => {
    const request = { type, keyId: wrapping.keyId, withPlaintext, bytes: 32 } as const;
    return w.recorded.ofKey(cryptoOperations.generateDataKey, request, caller, (k) => w.operations.generateDataKey(request, k));
  };
  const made = (await generate(true)).result as { plaintext: string; ciphertext: string };
  expect(await decrypt(wrapping, made.ciphertext)).toMatchObject({ result: { plaintext: made.plaintext } });
  expect((await generate(false)).result).not.toHaveProperty('plaintext');
});

test('what policy denies never reaches the token, and is recorded with the policies that denied it', async () => {
  const key = await w.put(await w.key());
  w.said.decision = { kind: 'deny', code: 'forbidden', policyIds: ['p9'], reason: 'no', failure: false };
  const use = jest.fn<() => never>();
  const request = { type, keyId: key.keyId, plaintext } as const;
  expect(await codeOf(w.recorded.ofKey(cryptoOperations.encrypt, request, caller, use))).toBe('ERR_ACCESS_DENIED');
  expect(use).not.toHaveBeenCalled();
  expect(await records()).toMatchObject([{ outcome: 'denied', code: 'ERR_ACCESS_DENIED', policies: ['p9'], revisions: { key: 1 } }]);
});

test('a key that nobody made, a session that is revoked, expired or unknown: each is refused with its own code and recorded', async () => {
  expect(await codeOf(encrypt({ keyId: `k_${'0'.repeat(22)}` }))).toBe('ERR_KEY_UNKNOWN');
  const key = await w.put(await w.key());
  const expired = await w.caller({ expiresAt: new Date(Date.now() - 1_000).toISOString() });
  await until(() => w.sessions.get(expired.session), { what: 'the session' });
  expect(await codeOf(encrypt(key, expired))).toBe('ERR_SESSION_EXPIRED');
  expect(await codeOf(encrypt(key, { ...caller, session: '0'.repeat(22) }))).toBe('ERR_SESSION_UNKNOWN');
  expect(await codeOf(encrypt(key, { ...caller, principal: 'somebody-else' }))).toBe('ERR_SESSION_UNKNOWN');
  expect(await codeOf(encrypt(key))).toBe('OK');
  await w.revoke(caller.record);
  await until(() => sessionIn(w.sessions.get(caller.session))?.state === 'revoked', { what: 'the revocation' });
  expect(await codeOf(encrypt(key))).toBe('ERR_SESSION_REVOKED');
  expect((await records()).map((r) => r.code)).toEqual(['ERR_KEY_UNKNOWN', 'ERR_SESSION_UNKNOWN', undefined, 'ERR_SESSION_REVOKED']);
});

test('a session that is revoked while a key is fetched gets nothing more', async () => {
  const key = await w.put(await w.key());
  const use = jest.fn(() => ({ result: {} }));
  const answer = w.replies.answer(
    cryptoOperations.encrypt,
    caller,
    {},
    ({ admit }) => {
      admit('crypto:Encrypt', w.keys.resource(key));
      return use();
    },
    async () => {
      await encrypt(key);
      await w.revoke(caller.record);
      await until(() => sessionIn(w.sessions.get(caller.session))?.state === 'revoked', { what: 'the revocation' });
    },
  );
  expect(await codeOf(answer)).toBe('ERR_SESSION_REVOKED');
  expect(use).not.toHaveBeenCalled();
});

test('a key so new that no watch has delivered it is found', async () => {
  const key = await w.key();
  await w.owner.put(key);
  expect(await codeOf(encrypt(key))).toBe('OK');
});

test('a suspended key is refused as soon as its record arrives, and its unwrapped key leaves the token', async () => {
  const key = await w.put(await w.key());
  await encrypt(key);
  const held = w.keys.unwrapped;
  await w.put({ ...key, revision: 2, suspended: true, versions: [{ ...key.versions[0], state: 'suspended' } as never] });
  expect(w.keys.unwrapped).toBe(held - 1);
  expect(await codeOf(encrypt(key))).toBe('ERR_KEY_SUSPENDED');
});

test('what cannot be recorded is refused before the token is asked; a record that gets stuck is no answer, and is owned up to later', async () => {
  const key = await w.put(await w.key());
  await w.blockAudit(true);
  try {
    expect(await codeOf(encrypt(key))).toBe('ERR_AUDIT_UNAVAILABLE');
    const use = jest.fn<() => never>();
    expect(await codeOf(w.recorded.ofKey(cryptoOperations.encrypt, { keyId: key.keyId }, caller, use))).toBe('ERR_AUDIT_UNAVAILABLE');
    expect(await codeOf(w.recorded.ofSystem(cryptoOperations.generateRandom, caller, use))).toBe('ERR_AUDIT_UNAVAILABLE');
    expect(use).not.toHaveBeenCalled();
  } finally {
    await w.blockAudit(false);
  }
  await until(() => w.trail.commit.available, { what: 'records to become durable again', timeoutMs: 30_000 });
  // The one whose record got stuck was done; the ones that were refused before were not.
  expect(await records()).toHaveLength(1);
  expect(await codeOf(encrypt(key))).toBe('OK');
});

test('a change is acknowledged only after every record that was in flight is durable', async () => {
  const key = await w.put(await w.key());
  const acknowledged: number[] = [];
  w.keysOwner.subscribe(appliedSubject('keys'), {
    callback: (_error, m) => {
      const { id, revision } = m.json<{ id: string; revision: number }>();
      if (id === key.id) acknowledged.push(revision);
    },
  });
  await w.keysOwner.flush();
  await w.blockAudit(true);
  try {
    const stuck = codeOf(encrypt(key));
    await w.put({ ...key, revision: 2 });
    expect(await stuck).toBe('ERR_AUDIT_UNAVAILABLE');
    expect(acknowledged).toEqual([]);
  } finally {
    await w.blockAudit(false);
  }
  await until(() => acknowledged.includes(2), { what: 'the acknowledgement', timeoutMs: 30_000 });
  expect(await records()).toHaveLength(1);
});

test('a worker that the token kept busy until it was stale does not answer: others count it as one that refuses', async () => {
  const key = await w.put(await w.key());
  const request = { type, keyId: key.keyId, plaintext } as const;
  const slow = w.recorded.ofKey(cryptoOperations.encrypt, request, caller, (record) => {
    const done = w.operations.encrypt(request, record);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_600);
    return done;
  });
  expect(await codeOf(slow)).toBe('ERR_STATE_STALE');
  expect(await records()).toMatchObject([{ outcome: 'failed', code: 'ERR_STATE_STALE' }]);
  await until(async () => (await codeOf(encrypt(key))) === 'OK', { what: 'the worker to be fresh again' });
});

test('a token that lost its sessions is asked once more, and only once; its failures are recorded without their cause', async () => {
  const key = await w.put(await w.key());
  const request = { type, keyId: key.keyId, plaintext } as const;
  let losses = 1;
  const use = jest.fn((record: KeyView) => {
    if (losses-- > 0) throw new HsmError('HSM_SESSION_LOST', 'gone');
    return w.operations.encrypt(request, record);
  });
  expect(await codeOf(w.recorded.ofKey(cryptoOperations.encrypt, request, caller, use))).toBe('OK');
  expect(use).toHaveBeenCalledTimes(2);
  losses = 9;
  const problem = await w.recorded.ofKey(cryptoOperations.encrypt, request, caller, use).catch((error: RecordedProblem) => error.problem);
  expect(problem).toMatchObject({ code: 'ERR_HSM_UNAVAILABLE', cause: expect.any(HsmError) });
  expect(use).toHaveBeenCalledTimes(4);
  const bug = w.recorded.ofKey(cryptoOperations.encrypt, request, caller, () => {
    throw new TypeError('secret detail');
  });
  expect(await codeOf(bug)).toBe('ERR_INTERNAL');
  expect((await records()).map((r) => [r.outcome, r.code])).toEqual([
    ['success', undefined],
    ['failed', 'ERR_HSM_UNAVAILABLE'],
    ['failed', 'ERR_INTERNAL'],
  ]);
  expect(JSON.stringify(await records())).not.toContain('secret detail');
});

test('random bytes come from the token, as many as asked for', async () => {
  const request = { type, bytes: 24 } as const;
  const answer = await w.recorded.ofSystem(cryptoOperations.generateRandom, caller, () => w.operations.generateRandom(request));
  expect(Buffer.from((answer.result as { random: string }).random, 'base64url')).toHaveLength(24);
  expect(await records()).toMatchObject([{ action: 'crypto:GenerateRandom', bytes: 24 }]);
});

test('while the token fails: what needs it is refused at once and recorded, a denial stays one, a public key is given out; it mends itself', async () => {
  const [key, signer] = [await w.put(await w.key()), await w.put(await w.key('EC_P256'))];
  await ciphertextOf(encrypt(key));
  w.said.tokenFails = true;
  for (let n = 0; n < 5; n++) w.breaker.observe(new HsmError('HSM_UNAVAILABLE', 'The test says so'));
  const encrypted = jest.spyOn(w.token, 'encryptGcm');
  expect(await codeOf(encrypt(key))).toBe('ERR_HSM_UNAVAILABLE');
  expect(encrypted).not.toHaveBeenCalled();
  await expect(w.hsm.generateKek({ type: 'claviger.request/1' })).rejects.toMatchObject({ code: 'ERR_HSM_UNAVAILABLE' });
  const { getPublicKey } = cryptoOperations;
  const publicKey = w.recorded.ofKey(getPublicKey, signer, caller, (record) => w.operations.getPublicKey({ keyId: signer.keyId }, record));
  expect(await codeOf(publicKey)).toBe('OK');
  w.said.decision = { kind: 'deny', code: 'forbidden', policyIds: ['p9'], reason: 'no', failure: false };
  expect(await codeOf(encrypt(key))).toBe('ERR_ACCESS_DENIED');
  w.said.decision = allow;
  w.said.tokenFails = false;
  await until(() => !w.breaker.refuses, { what: 'the token to pass its probe' });
  expect(await codeOf(encrypt(key))).toBe('OK');
  expect((await records()).map((r) => r.code ?? r.outcome)).toEqual([
    'success',
    'ERR_HSM_UNAVAILABLE',
    'success',
    'ERR_ACCESS_DENIED',
    'success',
  ]);
  encrypted.mockRestore();
});

test('a key that may be in other regions only is not used here, which is recorded; one that may be here is, and no residency is anywhere', async () => {
  const ciphertexts = new Map<string, string>();
  for (const residency of [['eu'], ['us', 'eu'], undefined]) {
    const key = await w.put({ ...(await w.key()), ...(residency ? { residency } : {}) });
    ciphertexts.set(key.keyId, await ciphertextOf(encrypt(key)));
  }
  const key = await w.put({ ...(await w.key()), residency: ['eu'] });
  const ciphertext = await ciphertextOf(encrypt(key));
  await w.put({ ...key, revision: key.revision + 1, residency: ['us', 'ch'] });
  expect(await codeOf(encrypt(key))).toBe('ERR_RESIDENCY');
  // Also of a key that lies unwrapped in the token.
  expect(await codeOf(decrypt(key, ciphertext))).toBe('ERR_RESIDENCY');
  const refused = (await records()).filter((r) => r.keyId === key.keyId && r.code === 'ERR_RESIDENCY');
  expect(refused.map((r) => [r.action, r.outcome])).toEqual([
    ['crypto:Encrypt', 'denied'],
    ['crypto:Decrypt', 'denied'],
  ]);
});
