import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { startChild } from '@claviger/testing';

/** Chromium, where this machine has one: the tests that need a browser are left out elsewhere. */
export const chromium = (process.env.PATH ?? '')
  .split(delimiter)
  .flatMap((folder) => ['chromium', 'chromium-browser', 'google-chrome'].map((name) => join(folder, name)))
  .find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

type Result = Record<string, unknown>;
type Reply = { id?: number; method?: string; result?: Result; error?: { message: string } };

/** A browser with an authenticator of its own, which verifies its user and keeps credentials (Chrome DevTools Protocol, WebAuthn domain). */
export async function startBrowser(program: string, folder: string) {
  const flags = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--remote-debugging-port=0',
    '--no-first-run',
  ];
  const child = await startChild(program, [...flags, `--user-data-dir=${folder}`, 'about:blank'], { name: 'browser' });
  const [, address] = await child.waitForLog(/DevTools listening on (ws:\S+)/, 60_000);
  const socket = new WebSocket(address as string);
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve, { once: true });
    socket.addEventListener('error', () => reject(new Error('no connection to the browser')), { once: true });
  });
  const waiting = new Map<number, (reply: Reply) => void>();
  const events = new Map<string, () => void>();
  socket.addEventListener('message', ({ data }) => {
    const reply = JSON.parse(String(data)) as Reply;
    if (reply.id !== undefined) waiting.get(reply.id)?.(reply);
    else if (reply.method !== undefined) events.get(reply.method)?.();
  });
  let last = 0;
  let sessionId: unknown;
  const call = async (method: string, params: object = {}): Promise<Result> => {
    const id = ++last;
    const replied = new Promise<Reply>((resolve) => waiting.set(id, resolve));
    socket.send(JSON.stringify({ id, method, params, ...(sessionId ? { sessionId } : {}) }));
    const { result, error } = await replied;
    if (error || !result) throw new Error(`${method}: ${error?.message}`);
    return result;
  };
  const { targetId } = await call('Target.createTarget', { url: 'about:blank' });
  ({ sessionId } = await call('Target.attachToTarget', { targetId, flatten: true }));
  await call('Page.enable');
  await call('WebAuthn.enable');
  const device = { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true };
  await call('WebAuthn.addVirtualAuthenticator', { options: { ...device, automaticPresenceSimulation: true } });
  return {
    async open(url: string): Promise<void> {
      const loaded = new Promise<void>((resolve) => events.set('Page.loadEventFired', resolve));
      await call('Page.navigate', { url });
      await loaded;
    },
    /** What an expression in the page gives, or resolves to, as if the user had done it. */
    async evaluate(expression: string): Promise<unknown> {
      const { result } = await call('Runtime.evaluate', { expression, userGesture: true, awaitPromise: true, returnByValue: true });
      return (result as { value?: unknown }).value;
    },
    async stop(): Promise<void> {
      socket.close();
      await child.stop();
    },
  };
}
