import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { changeChallenge, proveApproval, signApproval, signerWith } from '@claviger/authz';
import { freePort, SoftwareAuthenticator, temporaryFolder } from '@claviger/testing';
import { expect, test } from '@jest/globals';
import { howToRequest } from '../src/approval-flow';
import { newKeyFile, openKeyFile } from '../src/approval-key-file';
import { changeLines } from '../src/change-text';
import { assertChange, registerCredential } from '../src/webauthn';
import { askBrowser, pageOf } from '../src/webauthn-page';

const change = {
  ...{ change: 'ch_AAAAAAAAAAAAAAAAAAAAAA', revision: 1, state: 'requested' as const, requester: 'owen', operation: 'keys.export' },
  ...{ reason: 'sold', quorum: 2, approvers: ['security-officer'], approvals: [] },
  ...{ requestedAt: '2026-06-01T12:00:00.000Z', expiresAt: '2026-06-04T12:00:00.000Z' },
  input: { keyId: 'k_AAAAAAAAAAAAAAAAAAAAAA', recipient: { publicKeySpki: '</script><b>' }, tags: ['a', 'b'], none: {} },
};
const challenge = changeChallenge(change);

test('a key of one’s own approves, from a file that nothing but its passphrase opens', async () => {
  const folder = await temporaryFolder('approval-key');
  const file = join(folder.path, 'own.key');
  const { jwk, text } = await newKeyFile('a long enough passphrase');
  writeFileSync(file, text);
  const own = await openKeyFile(file, 'a long enough passphrase');
  expect(own.jwk).toEqual(jwk);
  const statement = { type: 'claviger.approval/1' as const, change: change.change, challenge, approver: 'sofia' };
  const jws = signApproval(statement, own.jwk, signerWith(own.privateKey));
  const proof = { kind: 'signature' as const, jws };
  await proveApproval({ approver: 'sofia', proof }, { change: change.change, challenge }, [{ kind: 'signature', jwk }]);
  await expect(openKeyFile(file, 'another passphrase')).rejects.toThrow('does not open');
  await expect(newKeyFile('short')).rejects.toThrow('fewer than 12');
  await folder.remove();
});

test('a credential that an authenticator registers proves the approval of exactly the change that is shown', async () => {
  const authenticator = new SoftwareAuthenticator();
  const key = await registerCredential({ principal: 'sofia', label: 'token', port: 7_437 }, async ({ options }) => ({
    ...authenticator.register(options.challenge as string),
  }));
  expect(key).toEqual({ ...authenticator.key, label: 'token' });
  const proof = await assertChange({ challenge, lines: changeLines(change) }, async ({ options, lines }) => {
    expect(lines).toContain('  keyId = k_AAAAAAAAAAAAAAAAAAAAAA');
    expect(options).toMatchObject({ challenge, userVerification: 'required', rpId: 'localhost' });
    const { credentialId: id, kind: _, ...said } = authenticator.assert(options.challenge as string);
    return { id, ...said };
  });
  await proveApproval({ approver: 'sofia', proof }, { change: change.change, challenge }, [key]);
  const other = new SoftwareAuthenticator();
  await expect(
    registerCredential({ principal: 'sofia', label: undefined, port: 7_437 }, async () => ({ ...other.register('AAAA') })),
  ).rejects.toThrow('refused');
});

test('every value of a command is shown, one a line, and none of it is markup or script of the page', () => {
  const lines = changeLines(change);
  for (const line of ['  recipient.publicKeySpki = </script><b>', '  tags.0 = a', '  tags.1 = b', '  none = {}'])
    expect(lines).toContain(line);
  const page = pageOf({ title: 'x', lines, kind: 'get', options: { challenge: '</script>' } });
  expect(page.match(/<\/script>/g)).toHaveLength(1);
  expect(page).toContain('&lt;/script&gt;&lt;b&gt;');
});

test('the page answers under its own name, path and origin only, and is gone with the answer', async () => {
  const port = await freePort();
  let address = '';
  const asked = askBrowser({ title: 'x', lines: [], kind: 'get', options: {} }, port, (url) => {
    address = url;
  });
  const { pathname } = await new Promise<URL>((resolve) => {
    const look = () => (address === '' ? setImmediate(look) : resolve(new URL(address)));
    look();
  });
  const send = (method: string, path: string, headers: Record<string, string>, body = '') =>
    new Promise<number>((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port, method, path, headers }, (response) => {
        response.resume();
        response.once('end', () => resolve(response.statusCode ?? 0));
      });
      sent.once('error', reject);
      sent.end(body);
    });
  const host = `localhost:${port}`;
  const origin = `http://${host}`;
  expect(await send('GET', '/', { host })).toBe(404);
  expect(await send('GET', pathname, { host: `evil.example:${port}` })).toBe(404);
  expect(await send('GET', pathname, { host })).toBe(200);
  expect(await send('POST', pathname, { host, origin: 'http://evil.example' }, '{}')).toBe(403);
  expect(await send('POST', pathname, { host, origin }, '{"id": 1}')).toBe(400);
  expect(await send('POST', pathname, { host, origin }, `{"id": "${'x'.repeat(70_000)}"}`)).toBe(400);
  expect(await send('POST', pathname, { host, origin }, '{"id": "AAAA"}')).toBe(200);
  expect(await asked).toEqual({ id: 'AAAA' });
  await expect(send('GET', pathname, { host })).rejects.toThrow();
});

test('what to type is the command that was typed, quoted for a shell', () => {
  expect(howToRequest(['keys', 'export', 'k_x', '--reason', "it's sold"])).toBe(
    `claviger --request-approval 'WHY IT IS NEEDED' keys export k_x --reason 'it'\\''s sold'`,
  );
});
