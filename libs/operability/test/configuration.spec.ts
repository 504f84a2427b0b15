import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Trust } from '@claviger/contracts';
import { temporaryFolder } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { z } from 'zod';
import {
  ConfigurationError,
  commonConfiguration,
  readConfiguration,
  readJsonFile,
  storeConfiguration,
  tokenConfiguration,
} from '../src/index';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let seed: string;
const file = (name: string, text: string): string => {
  const path = join(folder.path, name);
  writeFileSync(path, text);
  return path;
};
beforeAll(async () => {
  folder = await temporaryFolder('operability-spec');
  seed = file('ok.nk', `SU${'A'.repeat(56)}\n`);
});
afterAll(() => folder.remove());

const schema = z.object({ ...commonConfiguration, ...tokenConfiguration });
const good = () => ({
  NATS_URL: 'nats://127.0.0.1:4222',
  NATS_NKEY_FILE: seed,
  TRUST_FILE: 'trust.json',
  PKCS11_LIBRARY: 'lib.so',
  HSM_TOKEN_LABEL: 'customer',
  HSM_PIN_FILE: 'customer.pin',
});
const refusal = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    return (error as Error).message;
  }
  throw new Error('it was accepted');
};

test('what is right is read, with its defaults; an empty variable is one that is not set', () => {
  expect(readConfiguration(schema, { ...good(), HEALTH_PORT: '', UNRELATED: 'x' })).toMatchObject({
    HEALTH_PORT: 0,
    HEALTH_HOST: '127.0.0.1',
    NATS_URL: 'nats://127.0.0.1:4222',
  });
});

test.each(['NATS_URL', 'NATS_NKEY_FILE', 'TRUST_FILE', 'PKCS11_LIBRARY', 'HSM_TOKEN_LABEL', 'HSM_PIN_FILE'])(
  'without %s the message names it and says what it is',
  (name) => {
    const message = refusal(() => readConfiguration(schema, { ...good(), [name]: undefined }));
    expect(message).toContain(`${name} is not set: `);
    expect(message.split('; ')).toHaveLength(1);
  },
);

const secret = 'hunter2-0123456789';
test.each([
  ['NATS_URL', `http://user:${secret}@host`],
  ['HEALTH_PORT', secret],
  ['HEALTH_PORT', '70000'],
  ['HEALTH_PORT', '1.5'],
  ['WORKER_ID', `${secret}.UPPER`],
  ['STATE_MARK_MAX_AGE_SECONDS', '1'],
])('a wrong %s is refused by name, and its value is not repeated', (name, value) => {
  const message = refusal(() => readConfiguration(schema, { ...good(), [name]: value }));
  expect(message).toContain(name);
  expect(message).not.toContain(value);
  expect(message).not.toContain(secret);
});

test('a seed file that is missing or holds something else is refused by the name of its variable, without its path or contents', () => {
  for (const path of [join(folder.path, `missing-${secret}`), file('not-a-seed', secret), file('account', `SA${'A'.repeat(56)}`)]) {
    const message = refusal(() => readConfiguration(schema, { ...good(), NATS_NKEY_FILE: path }));
    expect(message).toContain('NATS_NKEY_FILE');
    expect(message).not.toContain(secret);
    expect(message).not.toContain(folder.path);
  }
});

test('everything that is wrong is said at once', () => {
  const message = refusal(() => readConfiguration(schema, { ...good(), NATS_URL: 'x', HSM_PIN_FILE: '' }));
  expect(message).toMatch(/NATS_URL must start with.*HSM_PIN_FILE is not set/);
});

test('a document store has a URL that is named and a database by default; what is wrong with them is said without their values', () => {
  const store = z.object(storeConfiguration('claviger_test'));
  const read = (environment: NodeJS.ProcessEnv) => readConfiguration(store, environment);
  expect(read({ MONGODB_URL: 'mongodb+srv://store.example' }).MONGODB_DATABASE).toBe('claviger_test');
  expect(read({ MONGODB_URL: 'mongodb://store.example', MONGODB_DATABASE: 'other-1' }).MONGODB_DATABASE).toBe('other-1');
  expect(refusal(() => read({}))).toMatch(/MONGODB_URL is not set/);
  for (const [name, value] of [
    ['MONGODB_URL', `postgres://user:${secret}@host`],
    ['MONGODB_DATABASE', `../${secret}`],
  ] as const) {
    const message = refusal(() => read({ MONGODB_URL: 'mongodb://x', [name]: value }));
    expect(message).toContain(`${name} must`);
    expect(message).not.toContain(secret);
  }
});

test('a JSON file is refused by the variable that led to it, with the place of what is wrong and not its value', () => {
  const read = (text?: string) => () =>
    readJsonFile('TRUST_FILE', text === undefined ? join(folder.path, `no-${secret}`) : file('trust.json', text), Trust);
  expect(refusal(read())).toMatch(/TRUST_FILE: the file cannot be read as JSON \(ENOENT\)/);
  expect(refusal(read(`{"format": ${secret}`))).toMatch(/TRUST_FILE.*syntax error/);
  const wrong = refusal(read(JSON.stringify({ format: secret, control: {}, certifiers: {}, ledger: { origin: 'o', vkey: 'v' } })));
  expect(wrong).toMatch(/TRUST_FILE: format/);
  for (const message of [refusal(read()), refusal(read(`{"format": ${secret}`)), wrong]) expect(message).not.toContain(secret);
  const trust: Trust = { format: 'claviger.trust/1', control: {}, certifiers: {}, ledger: { origin: 'o', vkey: 'v' } };
  expect(read(JSON.stringify(trust))()).toEqual(trust);
});
