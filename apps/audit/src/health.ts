import type { Check } from '@claviger/operability';
import type { Checkpointer } from './checkpointer';
import type { LedgerStore } from './ledger-store';
import type { OpenLedger } from './open-ledger';
import type { Sequencer } from './sequencer';

export interface AuditParts {
  store: LedgerStore;
  ledger: OpenLedger;
  sequencer: Sequencer;
  checkpointer: Checkpointer;
  /** Messages that wait in AUDIT. */
  lag: () => number;
}

/** More than a few seconds of a busy system. */
const maxLagMessages = 5_000;

/** Ready: it appends and signs. */
export const checks = ({ store, ledger, sequencer, checkpointer, lag }: AuditParts): Check[] => [
  { name: 'ledger', kind: 'ready', check: () => ledger.condition },
  {
    name: 'store',
    kind: 'ready',
    check: async () => {
      await store.ping();
      return { ok: true, detail: 'the document store answers' };
    },
  },
  {
    name: 'lag',
    kind: 'ready',
    check: () => ({ ok: lag() <= maxLagMessages, detail: `${lag()} messages wait in AUDIT` }),
  },
  {
    name: 'chains',
    kind: 'ready',
    // Findings do not make this process unfit: it has done its work by finding them. They are alerts.
    check: () => ({ ok: true, detail: `${sequencer.head?.chains.length ?? 0} active chains, ${sequencer.head?.findings ?? 0} findings` }),
  },
  {
    name: 'checkpoint',
    kind: 'ready',
    check: () => {
      const { due, latest } = checkpointer;
      if (due?.failure) return { ok: false, detail: `${due.size} leaves wait for a signature: ${due.failure}` };
      return { ok: true, detail: `${latest?.size ?? 0} leaves are signed` };
    },
  },
];
