import type { Check } from '@claviger/operability';
import type { KeyStore } from './key-store';

export const checks = (store: KeyStore, rebuilt: () => boolean): Check[] => [
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
];
