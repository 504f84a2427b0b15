import type { Evaluator } from '@claviger/authz';
import type { Check } from '@claviger/operability';
import type { BundleKeeper } from './bundle-keeper';
import type { Callout } from './callout';
import { type OpenGuards, weakText } from './open-guards';
import type { TokenKeyKeeper } from './token-key-keeper';

/** What this service adds to the checks of every service: can it admit a caller, and publish a bundle? */
export const policyChecks = (
  callout: Callout,
  evaluator: Evaluator,
  bundles: BundleKeeper,
  tokenKeys: Pick<TokenKeyKeeper, 'jwks' | 'lacking'>,
  guards: Pick<OpenGuards, 'standings'>,
): Check[] => [
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
    name: 'token key',
    kind: 'part',
    check: () => {
      const { signing } = tokenKeys.jwks();
      const lacking = tokenKeys.lacking();
      if (lacking)
        return {
          ok: false,
          detail: `the pair of ${lacking} is not in the control token (restored?): another is made; the log says why not`,
        };
      return signing
        ? { ok: true, detail: `${signing} signs tokens` }
        : { ok: false, detail: 'no key signs tokens yet: none is issued or renewed; the log says why' };
    },
  },
  {
    name: 'guards',
    kind: 'part',
    check: () => {
      const weak = evaluator.current ? guards.standings().guards.filter(({ holds }) => !holds) : [];
      return weak.length === 0 ? { ok: true, detail: 'every policy that asks for approval holds' } : { ok: false, detail: weakText(weak) };
    },
  },
  {
    name: 'store',
    kind: 'ready',
    check: () => ({ ok: bundles.trouble === undefined, detail: bundles.trouble ?? 'the stored bundle is the signed one' }),
  },
];
