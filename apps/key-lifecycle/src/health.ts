import type { Check } from '@claviger/operability';
import type { KeyStore } from './key-store';

export const checks = (store: KeyStore, bucket: () => { rebuilt: boolean; complete: boolean; checked: number }): Check[] => [
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
    check: () => {
      const { rebuilt, complete, checked } = bucket();
      if (rebuilt) return { ok: true, detail: 'the bucket holds what the document store says' };
      const still = checked === 0 ? 'it waits for the document store' : `${checked} keys are checked`;
      return {
        ok: complete && checked > 0,
        detail: `${complete ? 'the bucket adds up to its mark, and is compared with the document store' : 'not done yet'}: ${still}`,
      };
    },
  },
];
