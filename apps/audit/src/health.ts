import { selfTest, type Token } from '@claviger/hsm';
import type { AuditTrail, KvView, RequestServer, ViewRecord } from '@claviger/messaging';
import type { Check } from '@claviger/operability';
import type { Checkpointer } from './checkpointer';
import type { LedgerStore } from './ledger-store';
import type { OpenLedger } from './open-ledger';
import type { Sequencer } from './sequencer';

export interface AuditParts {
  server: RequestServer;
  trail: AuditTrail;
  token: Token;
  store: LedgerStore;
  ledger: OpenLedger;
  sequencer: Sequencer;
  checkpointer: Checkpointer;
  /** Messages that wait in AUDIT. */
  lag: () => number;
  views: Record<string, Pick<KvView<ViewRecord>, 'fresh' | 'state'>>;
}

/** More than a few seconds of a busy system. */
const maxLagMessages = 5_000;

/** Alive: requests reach this process through the broker. Ready: it appends, signs and could answer now. */
export const checks = ({ server, trail, token, store, ledger, sequencer, checkpointer, lag, views }: AuditParts): Check[] => [
  {
    name: 'request loop',
    kind: 'live',
    check: async () => {
      await server.selfRequest(2_000);
      return { ok: true, detail: 'a request to itself came back through the broker' };
    },
  },
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
  {
    name: 'audit',
    kind: 'ready',
    check: () => ({
      ok: trail.commit.available,
      detail: trail.commit.available ? 'own records become durable' : 'a batch is not acknowledged: check the AUDIT stream and its disk',
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
