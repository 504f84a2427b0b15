import { randomBytes } from 'node:crypto';
import { nameOfApprovalKey, proveApproval } from '@claviger/authz';
import type { ApprovalKey } from '@claviger/contracts';
import { freePort, type TemporaryFolder, temporaryFolder } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { assertChange, registerCredential } from '../src/webauthn';
import { askBrowser, type Ceremony } from '../src/webauthn-page';
import { chromium, startBrowser } from './browser';

const inBrowser = chromium ? test : test.skip;
let folder: TemporaryFolder;
let browser: Awaited<ReturnType<typeof startBrowser>>;
let port: number;
beforeAll(async () => {
  if (!chromium) return;
  folder = await temporaryFolder('browser');
  port = await freePort();
  browser = await startBrowser(chromium, folder.path);
}, 90_000);
afterAll(async () => {
  await browser?.stop();
  await folder?.remove();
});

/** Presses the button, and waits for what the page says then. */
const pressed = `new Promise((resolve) => {
  const said = document.getElementById('said');
  new MutationObserver(() => resolve(said.textContent)).observe(said, { childList: true });
  document.getElementById('go').click();
})`;
const shown: { title: unknown; text: unknown; said: unknown }[] = [];
/** Somebody who opens the page, reads it and presses its button. */
const ask = async (ceremony: Ceremony): Promise<Record<string, string>> => {
  const visit = async (url: string) => {
    await browser.open(url);
    const title = await browser.evaluate('document.title');
    const text = await browser.evaluate("document.querySelector('pre').textContent");
    const said = await browser.evaluate(pressed);
    shown.push({ title, text, said });
  };
  let visited: Promise<void> = Promise.resolve();
  const answer = await askBrowser(ceremony, port, (url) => {
    visited = visit(url);
  });
  await visited;
  return answer;
};

inBrowser(
  'an authenticator is registered and approves a change on the page, in a browser; it proves that change and no other',
  async () => {
    const key: ApprovalKey = await registerCredential({ principal: 'sofia', label: 'virtual', port }, ask);
    expect(key).toMatchObject({ kind: 'webauthn', rpId: 'localhost', origin: `http://localhost:${port}` });

    const challenge = randomBytes(32).toString('base64url');
    const lines = ['keys.destroy k_1', 'reason: </pre><script>document.title = "other"</script> & so on'];
    const proof = await assertChange({ challenge, lines }, ask);
    expect(shown).toEqual([
      { title: 'Claviger: register an authenticator', text: expect.stringContaining('sofia'), said: 'Done. You can close this page.' },
      { title: 'Claviger: approve a change', text: lines.join('\n'), said: 'Done. You can close this page.' },
    ]);
    const approval = { approver: 'sofia', proof };
    expect(await proveApproval(approval, { change: 'c1', challenge }, [key])).toEqual({ approver: 'sofia', key: nameOfApprovalKey(key) });
    const other = randomBytes(32).toString('base64url');
    await expect(proveApproval(approval, { change: 'c1', challenge: other }, [key])).rejects.toThrow(/challenge/);
  },
  60_000,
);
