import type { Evaluator } from '@claviger/authz';
import type { AuditTrail, KvView, RequestServer, ViewRecord } from '@claviger/messaging';
import type { Check } from '@claviger/operability';
import type { BundleKeeper } from './bundle-keeper';
import type { Callout } from './callout';
import type { ControlToken } from './control-token';

export interface Watched {
  server: RequestServer;
  callout: Callout;
  trail: AuditTrail;
  token: ControlToken;
  evaluator: Evaluator;
  bundles: BundleKeeper;
  views: Record<string, Pick<KvView<ViewRecord>, 'fresh' | 'state'>>;
}

/** Alive: requests reach this process through the broker. Ready: it could admit a caller and publish a bundle now. */
export const checks = ({ server, callout, trail, token, evaluator, bundles, views }: Watched): Check[] => [
  {
    name: 'request loop',
    kind: 'live',
    check: async () => {
      await server.selfRequest(2_000);
      return { ok: true, detail: 'a request to itself came back through the broker' };
    },
  },
  {
    name: 'auth callout',
    kind: 'ready',
    check: () => ({
      ok: callout.subscribed,
      detail: callout.subscribed ? 'subscribed' : 'not subscribed: nobody can connect through this replica',
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
      token.check();
      return { ok: true, detail: 'the control token signs' };
    },
  },
  {
    name: 'policy bundle',
    kind: 'ready',
    check: () => {
      if (!evaluator.usable) return { ok: false, detail: 'Cedar failed: restart this process' };
      const revision = evaluator.current?.bundle.revision;
      return revision === undefined
        ? { ok: false, detail: 'no bundle is in force' }
        : { ok: true, detail: `revision ${revision} is in force` };
    },
  },
  {
    name: 'store',
    kind: 'ready',
    check: () => ({ ok: bundles.trouble === undefined, detail: bundles.trouble ?? 'the stored bundle is the signed one' }),
  },
  ...Object.entries(views).map(
    ([name, view]): Check => ({ name: `view ${name}`, kind: 'ready', check: () => ({ ok: view.fresh(), detail: view.state() }) }),
  ),
];
