import { selfTest, type Token } from '@claviger/hsm';
import type { AuditTrail, KvView, RequestServer, ViewRecord } from '@claviger/messaging';
import type { Check } from '@claviger/operability';

export interface WorkerParts {
  server: RequestServer;
  trail: AuditTrail;
  token: Token;
  views: Record<string, Pick<KvView<ViewRecord>, 'fresh' | 'state'>>;
}

/** Alive: requests reach this process through the broker. Ready: it could do and record an operation now. */
export const checks = ({ server, trail, token, views }: WorkerParts): Check[] => [
  {
    name: 'request loop',
    kind: 'live',
    check: async () => {
      await server.selfRequest(2_000);
      return { ok: true, detail: 'a request to itself came back through the broker' };
    },
  },
  {
    name: 'audit',
    kind: 'ready',
    check: () => ({
      ok: trail.commit.available,
      detail: trail.commit.available ? 'records become durable' : 'a batch is not acknowledged: check the AUDIT stream and its disk',
    }),
  },
  {
    name: 'hsm',
    kind: 'ready',
    check: () => {
      selfTest(token);
      return { ok: true, detail: `token ${token.label} (${token.family}) passes its self test` };
    },
  },
  ...Object.entries(views).map(
    ([name, view]): Check => ({ name: `view ${name}`, kind: 'ready', check: () => ({ ok: view.fresh(), detail: view.state() }) }),
  ),
];
