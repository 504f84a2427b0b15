import type { Evaluator } from '@claviger/authz';
import type { Check } from '@claviger/operability';
import type { BundleKeeper } from './bundle-keeper';
import type { Callout } from './callout';

/** What this service adds to the checks of every service: can it admit a caller, and publish a bundle? */
export const policyChecks = (callout: Callout, evaluator: Evaluator, bundles: BundleKeeper): Check[] => [
  {
    name: 'auth callout',
    kind: 'ready',
    check: () => ({
      ok: callout.subscribed,
      detail: callout.subscribed ? 'subscribed' : 'not subscribed: nobody connects through this replica',
    }),
  },
  {
    name: 'policy bundle',
    kind: 'ready',
    check: () => {
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
];
