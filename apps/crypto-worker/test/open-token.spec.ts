import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { canaryLabel, initToken, Token } from '@claviger/hsm';
import { openToken } from '@claviger/service';
import { type TemporaryFolder, temporaryFolder } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

const libraryPath = process.env.CLAVIGER_TEST_PKCS11 as string;
const storage = join(dirname(process.env.SOFTHSM2_CONF as string), 'tokens');
const [tokenLabel, pin] = [`t-${randomBytes(8).toString('hex')}`, randomBytes(8).toString('hex')];
let folder: TemporaryFolder;
let files: string;
let config: Parameters<typeof openToken>[0];

beforeAll(async () => {
  folder = await temporaryFolder('open-token');
  const before = new Set(readdirSync(storage));
  initToken(libraryPath, { label: tokenLabel, soPin: randomBytes(8).toString('hex'), pin });
  const made = Token.open({ libraryPath, tokenLabel, pin });
  made.createCanary();
  made.close();
  files = join(storage, readdirSync(storage).find((name) => !before.has(name)) as string);
  writeFileSync(join(folder.path, 'pin'), pin, { mode: 0o600 });
  config = { PKCS11_LIBRARY: libraryPath, HSM_TOKEN_LABEL: tokenLabel, HSM_PIN_FILE: join(folder.path, 'pin') };
});
afterAll(() => folder.remove());

test('a token that is not seen in one moment is looked for again; one that stays unseen is a wrong setting', async () => {
  renameSync(files, `${folder.path}/away`);
  const opening = openToken(config, canaryLabel);
  // The first look is over when this runs: it is synchronous.
  await new Promise(setImmediate);
  renameSync(`${folder.path}/away`, files);
  const token = await opening;
  expect(token.label).toBe(tokenLabel);
  token.close();
  const wrong = { ...config, HSM_TOKEN_LABEL: 'elsewhere' };
  await expect(openToken(wrong, canaryLabel)).rejects.toThrow(/HSM_TOKEN_LABEL: the library has no token of this label/);
  expect(readFileSync(config.HSM_PIN_FILE, 'utf8')).toBe(pin);
});
