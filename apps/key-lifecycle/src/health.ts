import { selfTest, type Token } from '@claviger/hsm';
import type { AuditTrail, KvView, RequestServer, ViewRecord } from '@claviger/messaging';
import type { Check } from '@claviger/operability';
import type { KeyStore } from './key-store';

export interface LifecycleParts {
  server: RequestServer;
  trail: AuditTrail;
  token: Token;
  store: KeyStore;
  views: Record<string, Pick<KvView<ViewRecord>, 'fresh' | 'state'>>;
  rebuilt: () => boolean;
}

export const checks = ({ server, trail, token, store, views, rebuilt }: LifecycleParts): Check[] => [
  {
    name: 'request loop',
    kind: 'live',
    check: async () => {
      await server.selfRequest(2_000);
      return { ok: true, detail: 'a request to itself came back through the broker' };
    },
  },
  {
    name: 'document store',
    kind: 'ready',
    check: async () => {
      await store.ping();
      return { ok: true, detail: 'answers' };
    },
  },
  {
    name: 'rebuild',
    kind: 'ready',
    check: () => ({
      ok: rebuilt(),
      detail: rebuilt() ? 'the bucket holds what the document store says' : 'not done yet: it waits for the document store',
    }),
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
