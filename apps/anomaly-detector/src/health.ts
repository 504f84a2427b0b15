import type { Check } from '@claviger/operability';
import type { AlertStore } from './alert-store';
import type { Detector } from './detector';

/** Alerts come too late to be of use when this many messages wait. */
const lagMessagesMax = 5_000;

/** Ready: it sees what happens, and can keep and tell it. */
export const checks = (store: AlertStore, detector: Detector, snapshotSeconds: number): Check[] => [
  {
    name: 'document store',
    kind: 'ready',
    check: async () => {
      await store.ping();
      return { ok: true, detail: 'answers' };
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
];
