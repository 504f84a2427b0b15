import type { Client } from '@claviger/client';
import type { LedgerSource } from './ledger-verification';

/** What the verifier asks, of a running system. */
export const ledgerSource = (client: Pick<Client, 'audit'>): LedgerSource => ({
  checkpoint: async () => (await client.audit.checkpoint()).checkpoint,
  entries: async (from) => (await client.audit.entries({ from, limit: 1_000 })).lines,
  consistency: async (from, to) => (await client.audit.consistency({ from, to })).proof,
});
