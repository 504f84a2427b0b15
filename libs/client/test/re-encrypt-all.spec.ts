import { limits, problem } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ClavigerError } from '../src/claviger-error';
import { type ReEncrypted, reEncryptAll, type ToReEncrypt } from '../src/re-encrypt-all';

const keyId = `k_${'A'.repeat(22)}`;
const result = (ciphertext: string) => ({ keyId, version: 2, fromKeyId: keyId, fromVersion: 1, ciphertext: `new ${ciphertext}` });
async function* items(count: number, read: (n: number) => void = () => undefined): AsyncGenerator<ToReEncrypt> {
  for (let n = 0; n < count; n++) {
    read(n);
    yield { keyId, ciphertext: String(n) };
  }
}
const all = async (source: AsyncGenerator<ReEncrypted>) => {
  const found: ReEncrypted[] = [];
  for await (const one of source) found.push(one);
  return found;
};
const texts = (found: ReEncrypted[]) => found.map((one) => ('result' in one ? one.result.ciphertext : one.problem.code));
type Batch = Parameters<typeof reEncryptAll>[0];

test('whatever fails for a while, each outcome comes once, in the order of the source', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 450 }),
      fc.integer({ min: 1, max: 6 }),
      fc.infiniteStream(fc.integer({ min: 0, max: 9 })),
      async (count, inFlight, dice) => {
        const roll = () => dice.next().value as number;
        const tried = new Set<string>();
        const reEncrypt: Batch = async (batch) => {
          expect(batch.length).toBeLessThanOrEqual(100);
          for (let n = roll() % 3; n > 0; n--) await Promise.resolve();
          const first = batch.every(({ ciphertext }) => !tried.has(ciphertext));
          if (first) for (const { ciphertext } of batch) tried.add(ciphertext);
          if (first && roll() === 0) throw new ClavigerError('ERR_STATE_STALE');
          // The second time nothing fails: the test is not to wait.
          return {
            results: batch.map(({ ciphertext }) =>
              first && Number(ciphertext) % 97 === 5 ? { problem: problem('ERR_CONFLICT') } : { result: result(ciphertext) },
            ),
          };
        };
        const found = await all(reEncryptAll(reEncrypt, items(count), { inFlight }));
        expect(texts(found)).toEqual(Array.from({ length: count }, (_, n) => `new ${n}`));
      },
    ),
    { numRuns: 30 },
  );
});

test('what is wrong with one ciphertext is its own outcome; what may succeed later is tried for so long, and then is no outcome at all', async () => {
  let asked = 0;
  const reEncrypt: Batch = async (batch) => {
    asked += 1;
    return {
      results: batch.map(({ ciphertext }) =>
        ciphertext === '1'
          ? { problem: problem('ERR_DECRYPTION_FAILED') }
          : ciphertext === '2'
            ? { problem: problem('ERR_STATE_STALE') }
            : { result: result(ciphertext) },
      ),
    };
  };
  const found: ReEncrypted[] = [];
  const run = (async () => {
    for await (const one of reEncryptAll(reEncrypt, items(4), { patienceMs: 0 })) found.push(one);
  })();
  await expect(run).rejects.toMatchObject({ code: 'ERR_STATE_STALE', retryable: true });
  expect(texts(found)).toEqual(['new 0', 'ERR_DECRYPTION_FAILED']);
  expect(asked).toBe(1);
});

test('a batch fits one request by its bytes, whatever its contexts are written in', async () => {
  const context = { branch: 'ü'.repeat(4_000) };
  async function* wide(): AsyncGenerator<ToReEncrypt> {
    for (let n = 0; n < 200; n++) yield { keyId, ciphertext: 'x'.repeat(1_000), context };
  }
  const reEncrypt: Batch = async (batch) => {
    expect(Buffer.byteLength(JSON.stringify(batch))).toBeLessThanOrEqual(limits.batchChars + batch.length + 1);
    return { results: batch.map(({ ciphertext }) => ({ result: result(ciphertext) })) };
  };
  expect(await all(reEncryptAll(reEncrypt, wide()))).toHaveLength(200);
});

test('a batch that is refused as a whole ends it, after all that came before it', async () => {
  let batches = 0;
  const reEncrypt: Batch = async (batch) => {
    if (++batches === 3) throw new ClavigerError('ERR_SESSION_REVOKED');
    return { results: batch.map(({ ciphertext }) => ({ result: result(ciphertext) })) };
  };
  const found: ReEncrypted[] = [];
  const run = (async () => {
    for await (const one of reEncryptAll(reEncrypt, items(1_000), { inFlight: 2 })) found.push(one);
  })();
  await expect(run).rejects.toMatchObject({ code: 'ERR_SESSION_REVOKED' });
  expect(found).toHaveLength(200);
});

test('no more is read of the source than is under way', async () => {
  let read = 0;
  const reEncrypt: Batch = async (batch) => ({ results: batch.map(({ ciphertext }) => ({ result: result(ciphertext) })) });
  const source = reEncryptAll(
    reEncrypt,
    items(10_000, (n) => (read = n + 1)),
    { inFlight: 2 },
  );
  await source.next();
  expect(read).toBeLessThanOrEqual(401);
  await source.return(undefined);
});
