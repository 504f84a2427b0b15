import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { CommandError } from './exit-codes';

export const defaultPort = 7_437;
const bodyBytesMax = 65_536;
const patienceMs = 10 * 60_000;

export interface Ceremony {
  title: string;
  /** What the person is about to do, shown as text. */
  lines: readonly string[];
  /** Of `navigator.credentials`. Byte strings are base64url. */
  kind: 'create' | 'get';
  options: Record<string, unknown>;
}

/**
 * A page of this process on http://localhost, since WebAuthn lives in browsers and an address is no relying party (Web Authentication Level 3, §5.1.2): shows what it is about,
 * asks the authenticator, and gives back what it said. Nothing but this machine reaches it, and its address cannot be guessed.
 * @throws CommandError when the port is taken, or nobody answers within 10 minutes
 */
export async function askBrowser(ceremony: Ceremony, port: number, tell: (url: string) => void): Promise<Record<string, string>> {
  const secret = randomBytes(16).toString('base64url');
  const origin = `http://localhost:${port}`;
  return new Promise((resolve, reject) => {
    const server = createServer((request, response) => {
      // Another name for this machine would be another origin: a page elsewhere that had its name resolve to here.
      if (request.headers.host !== `localhost:${port}` || request.url !== `/${secret}`) return answer(response, 404, 'not here');
      if (request.method === 'GET') return answer(response, 200, pageOf(ceremony), secret);
      if (request.method !== 'POST' || request.headers.origin !== origin) return answer(response, 403, 'not from there');
      void bodyOf(request).then(
        (body) => {
          response.once('close', () => end(() => resolve(body)));
          answer(response, 200, 'Done. You can close this page.');
        },
        () => answer(response, 400, 'not what was asked for'),
      );
    });
    const timer = setTimeout(
      () => end(() => reject(new CommandError('failed', 'Nobody answered on the page within 10 minutes'))),
      patienceMs,
    );
    const end = (then: () => void) => {
      clearTimeout(timer);
      server.close();
      // A browser opens one ahead of need, and would ask the next page of this port on it.
      server.closeAllConnections();
      then();
    };
    server.once('error', (error: NodeJS.ErrnoException) =>
      end(() =>
        reject(
          new CommandError(
            'configuration',
            `Port ${port} of localhost cannot be used (${error.code})`,
            'The origin of the credential names its port: end what uses it.',
          ),
        ),
      ),
    );
    server.listen(port, '127.0.0.1', () => tell(`${origin}/${secret}`));
  });
}

function answer(response: ServerResponse, status: number, body: string, secret?: string): void {
  response.writeHead(status, {
    'content-type': secret === undefined ? 'text/plain; charset=utf-8' : 'text/html; charset=utf-8',
    'content-security-policy':
      "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    ...{ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer', connection: 'close' },
  });
  response.end(body);
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, string>> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request) {
    bytes += (part as Buffer).length;
    if (bytes > bodyBytesMax) throw new Error('too long');
    parts.push(part as Buffer);
  }
  const body: unknown = JSON.parse(Buffer.concat(parts).toString('utf8'));
  if (typeof body !== 'object' || body === null || !Object.values(body).every((value) => typeof value === 'string'))
    throw new Error('not fields');
  return body as Record<string, string>;
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** Inside a script element a JSON text is a literal but for `<`. */
const literal = (value: unknown): string => JSON.stringify(value).replaceAll('<', '\\u003c');

/** One static page: no library, nothing from elsewhere. */
export function pageOf({ title, lines, kind, options }: Ceremony): string {
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>${escaped(title)}</title>
<style>body{font:16px system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid;padding:1rem}button{font:inherit;padding:.5rem 1rem}</style>
<h1>${escaped(title)}</h1>
<pre>${lines.map(escaped).join('\n')}</pre>
<p><button id="go" autofocus>${kind === 'create' ? 'Register' : 'Approve'} with your authenticator</button></p>
<p id="said" role="status"></p>
<script>
const options = ${literal(options)};
const bytes = (text) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
options.challenge = bytes(options.challenge);
if (options.user) options.user.id = bytes(options.user.id);
const say = (what) => { document.getElementById('said').textContent = what; };
document.getElementById('go').onclick = async () => {
  try {
    const credential = await navigator.credentials.${kind}({ publicKey: options });
    const { response } = credential;
    const result = { id: credential.id, clientDataJSON: text(response.clientDataJSON) };
    for (const name of ['attestationObject', 'authenticatorData', 'signature']) if (response[name]) result[name] = text(response[name]);
    const sent = await fetch(location.pathname, { method: 'POST', body: JSON.stringify(result) });
    say(await sent.text());
  } catch (error) { say(String(error)); }
};
</script></html>
`;
}
