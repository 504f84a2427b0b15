import { probeAsync, quickSelfTest } from '@claviger/hsm';
import type { KvView, RequestServer, ViewRecord } from '@claviger/messaging';
import type { Check } from '@claviger/operability';
import type { CoreService } from './core-service';
import { withoutActions } from './without-actions';

export type NamedViews = Record<string, Pick<KvView<ViewRecord>, 'fresh' | 'state'>>;

/** Alive: requests reach this process through the broker. Ready: it could decide, do and record an operation now. */
export const coreChecks = ({ trail, token, evaluator }: CoreService, server: RequestServer, views: NamedViews): Check[] => [
  {
    name: 'request loop',
    kind: 'live',
    check: async () => {
      await server.selfRequest(2_000);
      return { ok: true, detail: 'a request to itself came back through the broker' };
    },
  },
  {
    name: 'policy engine',
    kind: 'live',
    check: () => ({ ok: evaluator.usable, detail: evaluator.usable ? 'decides' : 'failed for good; restart this process' }),
  },
  {
    name: 'policy actions',
    kind: 'part',
    check: () => ({
      ok: evaluator.missing.length === 0,
      detail:
        evaluator.missing.length === 0 ? 'the policy bundle knows every action' : `the policy bundle ${withoutActions(evaluator.missing)}`,
    }),
  },
  {
    name: 'audit',
    kind: 'ready',
    check: () => ({
      ok: trail.commit.available,
      detail: trail.commit.available
        ? 'records become durable'
        : 'a batch is not signed or not acknowledged: check the token, the AUDIT stream and its disk',
    }),
  },
  {
    name: 'hsm',
    kind: 'ready',
    check: async () => {
      // One that is far, and hangs, would hold the event loop.
      if (token.distance === 'far') await probeAsync(token);
      else quickSelfTest(token);
      return { ok: true, detail: `token ${token.label} (${token.family}) passes its self test` };
    },
  },
  ...Object.entries(views).map(
    ([name, view]): Check => ({ name: `view ${name}`, kind: 'ready', check: () => ({ ok: view.fresh(), detail: view.state() }) }),
  ),
];
