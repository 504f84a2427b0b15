import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { compactDecrypt } from 'jose';
import { type DataKeyBounds, DataKeys, defaultBounds } from '../src/envelope/data-keys';
import { Envelope } from '../src/envelope/envelope';

const keyId = `k_${'A'.repeat(22)}`;
const other = `k_${'B'.repeat(22)}`;
const context = { tenant: 'acme', purpose: 'invoice' };
const chunk = 65_536;

/** A source that remembers its data keys in clear: what Claviger would give to a caller that may decrypt. */
function system(bounds: Partial<DataKeyBounds> = {}) {
  const known = new Map<string, Buffer>();
  const handed: Uint8Array[] = [];
  const calls = { generate: 0, unwrap: 0 };
  /** Where aliases point. */
  const aliases = new Map<string, string>();
  const under = new Map<string, string>();
  const give = (key: Buffer) => {
    const copy = new Uint8Array(key);
    handed.push(copy);
    return copy;
  };
  const source = {
    async generate(ref: string) {
      calls.generate++;
      const key = randomBytes(32);
      const wrapped = `wrapped-${known.size}`;
      known.set(wrapped, key);
      const keyId = aliases.get(ref) ?? ref;
      under.set(wrapped, keyId);
      return { plaintext: give(key), wrapped, version: 3, keyId };
    },
    async unwrap(ref: string, wrapped: string) {
      calls.unwrap++;
      const key = known.get(wrapped);
      if (!key) throw new Error('unknown data key');
      return { plaintext: give(key), keyId: aliases.get(ref) ?? ref };
    },
  };
  const dataKeys = new DataKeys(source, { ...defaultBounds, ...bounds });
  return { envelope: new Envelope(dataKeys), dataKeys, known, handed, calls, aliases };
}

async function* pieces(bytes: Uint8Array, ...sizes: number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? bytes.length;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}
async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}
const refusal = { code: 'ERR_DECRYPTION_FAILED' };

test('what is sealed opens, whatever the bytes and the context', async () => {
  const { envelope } = system();
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 2_000 }),
      fc.dictionary(fc.stringMatching(/^[A-Za-z0-9]{1,8}$/), fc.string()),
      async (data, bound) => {
        const sealed = await envelope.seal(keyId, data, { context: bound });
        expect(Buffer.from(await envelope.open(keyId, sealed, { context: bound }))).toEqual(Buffer.from(data));
      },
    ),
  );
});

test('what is sealed under an alias names the key, and opens by it or by the alias while that points there', async () => {
  const { envelope, aliases } = system({ maxUses: 1 });
  aliases.set('alias/cards', keyId);
  const data = Buffer.from('forty-two');
  const sealed = await envelope.seal('alias/cards', data, { context });
  const stream = await collect(envelope.sealStream('alias/cards', pieces(data), { context }));
  expect(JSON.parse(Buffer.from(sealed.split('.')[0] as string, 'base64url').toString())).toMatchObject({ kid: `${keyId}#3` });
  for (const ref of [keyId, 'alias/cards']) {
    expect(Buffer.from(await envelope.open(ref, sealed, { context }))).toEqual(data);
    expect(await collect(envelope.openStream(ref, pieces(stream), { context }))).toEqual(data);
  }
  aliases.set('alias/cards', other);
  await expect(envelope.open('alias/cards', sealed, { context })).rejects.toMatchObject(refusal);
  await expect(collect(envelope.openStream('alias/cards', pieces(stream), { context }))).rejects.toMatchObject(refusal);
  await expect(envelope.open('alias/cards', sealed)).rejects.toMatchObject(refusal);
  expect(Buffer.from(await envelope.open(keyId, sealed, { context }))).toEqual(data);
});

test('a sealed buffer is a JWE that any JOSE library opens once it has the data key', async () => {
  const { envelope, known } = system();
  const sealed = await envelope.seal(keyId, Buffer.from('to whom it may concern'), { context });
  const { plaintext, protectedHeader } = await compactDecrypt(sealed, known.get('wrapped-0')!);
  expect(Buffer.from(plaintext).toString()).toBe('to whom it may concern');
  expect(protectedHeader).toMatchObject({ alg: 'dir', enc: 'A256GCM', kid: `${keyId}#3`, dek: 'wrapped-0' });
});

test('a sealed buffer with any bit changed does not open', async () => {
  const { envelope } = system();
  const sealed = Buffer.from(await envelope.seal(keyId, Buffer.from('x'.repeat(40)), { context }));
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const changed = Buffer.from(sealed);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    // A bit of `dek` asks Claviger for another data key, which it refuses.
    await expect(envelope.open(keyId, changed.toString('latin1'), { context })).rejects.toThrow();
  }
});

test('a sealed buffer opens only under the key and with the context that the caller names', async () => {
  const { envelope } = system();
  const sealed = await envelope.seal(keyId, Buffer.from('x'), { context });
  await expect(envelope.open(other, sealed, { context })).rejects.toMatchObject(refusal);
  await expect(envelope.open(keyId, sealed)).rejects.toMatchObject(refusal);
  await expect(envelope.open(keyId, sealed, { context: { ...context, tenant: 'other' } })).rejects.toMatchObject(refusal);
  await expect(envelope.open(keyId, 'not a jwe', { context })).rejects.toMatchObject(refusal);
});

test('a stream opens to what was sealed, however it was cut into pieces', async () => {
  const { envelope } = system();
  for (const length of [0, 1, chunk - 1, chunk, chunk + 1, 3 * chunk, 200_000]) {
    const data = randomBytes(length);
    const sealed = await collect(envelope.sealStream(keyId, pieces(data, 1_000, 70_000, 7), { context }));
    expect(await collect(envelope.openStream(keyId, pieces(sealed, 3, 131_072, 500), { context }))).toEqual(data);
  }
});

test('a web stream is a source too', async () => {
  const { envelope } = system();
  const data = randomBytes(100_000);
  const sealed = await collect(envelope.sealStream(keyId, new Blob([data]).stream(), { context }));
  expect(await collect(envelope.openStream(keyId, new Blob([sealed]).stream(), { context }))).toEqual(data);
});

/** Header line, and the chunks of a sealed stream of three chunks. */
async function threeChunks(envelope: Envelope) {
  const sealed = await collect(envelope.sealStream(keyId, pieces(randomBytes(2 * chunk + 100), chunk), { context }));
  const start = sealed.indexOf(0x0a) + 1;
  const size = chunk + 16;
  const cut = (i: number) => sealed.subarray(start + i * size, start + (i + 1) * size);
  return { sealed, line: sealed.subarray(0, start), chunks: [cut(0), cut(1), cut(2)] as [Buffer, Buffer, Buffer] };
}

test('a stream that was cut, reordered, repeated, extended or spliced is refused', async () => {
  const { envelope } = system();
  const {
    line,
    chunks: [a, b, c],
  } = await threeChunks(envelope);
  const foreign = (await threeChunks(envelope)).chunks;
  const opens = (...parts: Buffer[]) => collect(envelope.openStream(keyId, pieces(Buffer.concat(parts)), { context }));
  expect(await opens(line, a, b, c)).toHaveLength(2 * chunk + 100);
  const attacks = {
    'last chunk missing': [line, a, b],
    'cut within a chunk': [line, a, b.subarray(0, 50)],
    'cut to the header': [line],
    'middle missing': [line, a, c],
    reordered: [line, b, a, c],
    repeated: [line, a, a, b, c],
    'bytes after the end': [line, a, b, c, Buffer.from('x')],
    'chunk of another stream under the same data key': [line, a, foreign[1], c],
    'header of another stream': [(await threeChunks(envelope)).line, a, b, c],
    empty: [Buffer.alloc(0)],
    'no header': [a, b, c],
  };
  for (const parts of Object.values(attacks)) await expect(opens(...parts)).rejects.toMatchObject(refusal);
});

test('a stream with a bit changed anywhere is refused, and gives no byte of the changed chunk', async () => {
  const { envelope } = system();
  const { sealed, line } = await threeChunks(envelope);
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: sealed.length * 8 - 1 }), async (bit) => {
      const changed = Buffer.from(sealed);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      let given = 0;
      const read = async () => {
        for await (const part of envelope.openStream(keyId, pieces(changed), { context })) given += part.length;
      };
      await expect(read()).rejects.toThrow();
      const at = (bit >> 3) - line.length;
      expect(given).toBe(at < 0 ? 0 : Math.floor(at / (chunk + 16)) * chunk);
    }),
    { numRuns: 100 },
  );
});

test('every bit of the header line is authenticated', async () => {
  const { envelope } = system();
  const sealed = await collect(envelope.sealStream(keyId, pieces(Buffer.from('x')), { context }));
  for (let bit = 0; bit < (sealed.indexOf(0x0a) + 1) * 8; bit++) {
    const changed = Buffer.from(sealed);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    await expect(collect(envelope.openStream(keyId, pieces(changed), { context }))).rejects.toThrow();
  }
});

test('a failing source is reported as itself, not as a failed decryption', async () => {
  const { envelope } = system();
  const { line, chunks } = await threeChunks(envelope);
  async function* broken() {
    yield line;
    yield chunks[0];
    throw new Error('disk on fire');
  }
  await expect(collect(envelope.openStream(keyId, broken(), { context }))).rejects.toThrow('disk on fire');
});

test('one data key serves many buffers of the same key and context, and never a stream', async () => {
  const { envelope, calls } = system();
  await Promise.all(Array.from({ length: 50 }, () => envelope.seal(keyId, Buffer.from('x'), { context })));
  expect(calls.generate).toBe(1);
  await envelope.seal(keyId, Buffer.from('x'));
  await envelope.seal(other, Buffer.from('x'), { context });
  expect(calls.generate).toBe(3);
  await collect(envelope.sealStream(keyId, pieces(Buffer.from('x')), { context }));
  expect(calls.generate).toBe(4);
});

test('a data key is overwritten when its uses are spent, also when many wait for it', async () => {
  const { envelope, calls, handed } = system({ maxUses: 10 });
  await Promise.all(Array.from({ length: 35 }, () => envelope.seal(keyId, Buffer.from('x'), { context })));
  expect(calls.generate).toBe(4);
  expect(handed.map((key) => key.every((byte) => byte === 0))).toEqual([true, true, true, false]);
});

test('no more bytes than allowed are sealed under one data key', async () => {
  const { envelope, calls } = system({ maxBytes: 1_000 });
  for (let i = 0; i < 5; i++) await envelope.seal(keyId, new Uint8Array(400), { context });
  expect(calls.generate).toBe(3);
});

test('maxUses 1 keeps nothing', async () => {
  const { envelope, calls, handed } = system({ maxUses: 1 });
  const sealed = await envelope.seal(keyId, Buffer.from('x'), { context });
  await envelope.open(keyId, sealed, { context });
  await envelope.open(keyId, sealed, { context });
  expect(calls).toEqual({ generate: 1, unwrap: 2 });
  expect(handed.every((key) => key.every((byte) => byte === 0))).toBe(true);
});

test('age, number and close each end a data key, which is overwritten', async () => {
  const { envelope, dataKeys, handed, calls } = system({ maxAgeMs: 5, maxEntries: 2 });
  await envelope.seal(keyId, Buffer.from('x'), { context });
  while (!handed[0]!.every((byte) => byte === 0)) await setImmediate();
  const fresh = system({ maxEntries: 2 });
  for (const id of ['k_1', 'k_2', 'k_3']) await fresh.envelope.seal(id, Buffer.from('x'), { context });
  await setImmediate();
  expect(fresh.handed.map((key) => key.every((byte) => byte === 0))).toEqual([true, false, false]);
  fresh.envelope.close();
  await setImmediate();
  expect(fresh.handed.every((key) => key.every((byte) => byte === 0))).toBe(true);
  expect(calls.generate).toBe(1);
  dataKeys.clear();
});

test('a failed call to Claviger is not remembered', async () => {
  const { envelope, known } = system();
  const sealed = await envelope.seal(keyId, Buffer.from('x'), { context });
  const key = known.get('wrapped-0')!;
  known.delete('wrapped-0');
  await expect(envelope.open(keyId, sealed, { context })).rejects.toThrow('unknown data key');
  known.set('wrapped-0', key);
  expect(Buffer.from(await envelope.open(keyId, sealed, { context })).toString()).toBe('x');
});
