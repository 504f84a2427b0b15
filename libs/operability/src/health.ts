import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Telemetry } from './telemetry';

/** One thing that must work. `detail` says what to do when it does not; it is shown to operators, so it holds no secret. */
export interface Check {
  name: string;
  /**
   * `live`: a failure means that restarting helps. `ready`: this process should get no work now. `part`: something of it does not work and the rest
   * does, so it is shown with what makes it ready, and a failure leaves that as it is.
   */
  kind: 'live' | 'ready' | 'part';
  check: () => Promise<{ ok: boolean; detail: string }> | { ok: boolean; detail: string };
}

export interface HealthServer {
  port: number;
  close(): Promise<void>;
}

/** What else a service shows to whoever asks: nothing secret, nothing that costs. */
export interface Page {
  readonly contentType: string;
  readonly maxAgeSeconds: number;
  /** Undefined while there is nothing that anybody may rely on: 503. */
  readonly body: () => string | undefined;
}

/** One check that hangs must not hide what the others say. */
const checkTimeoutMs = 5_000;

/** `/health/live`, `/health/ready` (200 or 503, JSON) and `/metrics` (Prometheus) on one port. */
export function serveHealth(options: {
  service: string;
  host: string;
  port: number;
  checks: Check[];
  telemetry: Telemetry;
  /** By path. */
  pages?: Readonly<Record<string, Page>>;
}): Promise<HealthServer> {
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    if (request.method !== 'GET') return response.writeHead(405).end();
    if (request.url === '/metrics') return options.telemetry.metrics.getMetricsRequestHandler(request, response);
    const page = options.pages && Object.hasOwn(options.pages, request.url ?? '') ? options.pages[request.url ?? ''] : undefined;
    if (page) {
      const body = page.body();
      if (body === undefined) return response.writeHead(503, { 'cache-control': 'no-store', 'retry-after': '5' }).end();
      return response
        .writeHead(200, { 'content-type': page.contentType, 'cache-control': `public, max-age=${page.maxAgeSeconds}` })
        .end(body);
    }
    if (request.url !== '/health/live' && request.url !== '/health/ready') return response.writeHead(404).end();
    const live = request.url === '/health/live';
    const results = await Promise.all(
      options.checks
        .filter((c) => !live || c.kind === 'live')
        .map(async ({ name, kind, check }) => ({ kind, shown: { name, ...(await resultOf(check)) } })),
    );
    const ok = results.every(({ kind, shown }) => shown.ok || kind === 'part');
    response
      .writeHead(ok ? 200 : 503, { 'content-type': 'application/json' })
      .end(JSON.stringify({ service: options.service, ok, checks: results.map(({ shown }) => shown) }));
  };
  const server = createServer((request, response) => void answer(request, response).catch(() => response.destroy()));
  server.requestTimeout = 5_000;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () =>
      resolve({
        port: (server.address() as AddressInfo).port,
        close: () =>
          new Promise((done) => {
            server.close(() => done());
            server.closeAllConnections();
          }),
      }),
    );
  });
}

async function resultOf(check: Check['check']): Promise<{ ok: boolean; detail: string }> {
  try {
    return await inTime(check);
  } catch (error) {
    return { ok: false, detail: String(error) };
  }
}

async function inTime(check: Check['check']): Promise<{ ok: boolean; detail: string }> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<{ ok: false; detail: string }>((resolve) => {
    timer = setTimeout(() => resolve({ ok: false, detail: `no answer within ${checkTimeoutMs} ms` }), checkTimeoutMs);
  });
  try {
    return await Promise.race([check(), late]);
  } finally {
    clearTimeout(timer);
  }
}
