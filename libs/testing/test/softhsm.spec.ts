import { readdir } from 'node:fs/promises';
import { createTokens, runCommand, type TemporaryFolder, temporaryFolder, workspaceRoot } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

let dir: TemporaryFolder;
beforeAll(async () => {
  dir = await temporaryFolder('softhsm-spec');
});
afterAll(() => dir.remove());

/** Logs in to a token in a process that was started with the token folder in its environment. */
const login = (library: string, label: string, pin: string, env: NodeJS.ProcessEnv) =>
  runCommand(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import pkcs11js from 'pkcs11js';
       import { text } from 'node:stream/consumers';
       const { library, label, pin } = JSON.parse(await text(process.stdin));
       const pkcs11 = new pkcs11js.PKCS11();
       pkcs11.load(library);
       pkcs11.C_Initialize();
       const slot = pkcs11.C_GetSlotList(true).find((one) => pkcs11.C_GetTokenInfo(one).label.trim() === label);
       pkcs11.C_Login(pkcs11.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION), pkcs11js.CKU_USER, pin);
       console.log('logged in');`,
    ],
    { cwd: workspaceRoot(), env: { ...process.env, ...env }, input: JSON.stringify({ library, label, pin }), allowFailure: true },
  );

test('every token is opened by its own PIN and by no other', async () => {
  const tokens = await createTokens(`${dir.path}/three`);
  const [customer, control] = [tokens.pins.customer as string, tokens.pins.control as string];
  expect((await login(tokens.libraryPath, 'customer', customer, tokens.env)).stdout).toContain('logged in');
  expect((await login(tokens.libraryPath, 'control', control, tokens.env)).stdout).toContain('logged in');
  expect((await login(tokens.libraryPath, 'ledger', customer, tokens.env)).stderr).toContain('CKR_PIN_INCORRECT');
});

test('tokens that exist are never made again: they may hold keys', async () => {
  const first = await createTokens(`${dir.path}/again`, { labels: ['customer'] });
  await expect(createTokens(first.dir)).rejects.toThrow('may be in use');
  expect(await readdir(`${first.dir}/tokens`)).toHaveLength(1);
});
