import type { AuditTrail, KvView, RequestServer, ViewRecord } from '@claviger/messaging';
import type { Check } from '@claviger/operability';
import type { AlertStore } from './alert-store';
import type { Detector } from './detector';

export interface DetectorParts {
  server: RequestServer;
  trail: AuditTrail;
  store: AlertStore;
  detector: Detector;
  views: Record<string, Pick<KvView<ViewRecord>, 'fresh' | 'state'>>;
  snapshotSeconds: number;
}

/** Alerts come too late to be of use when this many messages wait. */
const lagMessagesMax = 5_000;

/** Alive: requests reach this process through the broker. Ready: it sees what happens, and can keep and tell it. */
export const checks = ({ server, trail, store, detector, views, snapshotSeconds }: DetectorParts): Check[] => [
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
    name: 'store',
    kind: 'ready',
    check: async () => {
      await store.ping();
      return { ok: true, detail: 'the document store answers' };
    },
  },
  ...(['audit', 'ledger'] as const).map(
    (name): Check => ({
      name: `stream ${name.toUpperCase()}`,
      kind: 'ready',
      check: () => {
        const { state, pending, position } = detector[name];
        const ok = state === 'following' && pending <= lagMessagesMax;
        return { ok, detail: `${state}, at ${position}, ${pending} messages behind` };
      },
    }),
  ),
  {
    name: 'snapshot',
    kind: 'ready',
    check: () => {
      const age = detector.unsavedSeconds();
      return { ok: age <= Math.max(60, 6 * snapshotSeconds), detail: `the last one is ${Math.round(age)} s behind` };
    },
  },
  ...Object.entries(views).map(
    ([name, view]): Check => ({ name: `view ${name}`, kind: 'ready', check: () => ({ ok: view.fresh(), detail: view.state() }) }),
  ),
];
