import { ClavigerError, type Client } from '@claviger/client';
import type { Command } from 'commander';
import { exitCodeOf, exitCodes, Finding } from '../exit-codes';
import { online } from '../run';
import { weakLines } from './policy-guards';

/** One small real request to each service: what a caller sees is what counts. */
const probes: Record<string, (client: Client) => Promise<unknown>> = {
  'crypto-worker': (client) => client.crypto.generateRandom({ bytes: 16 }),
  'key-lifecycle': (client) => client.keys.list({ limit: 1 }),
  policy: (client) => client.access.listSessions({ principal: client.principal }),
  audit: (client) => client.audit.checkpoint(),
  'anomaly-detector': (client) => client.alerts.list({ limit: 1 }),
};

interface Seen {
  service: string;
  state: 'answers' | 'unavailable';
  ms: number;
  code?: string;
  detail?: string;
}

export function statusCommand(program: Command): void {
  program
    .command('status')
    .description('a real request to every service; exit 1 when one is not available. Says which policies that ask for approval do not hold')
    .action(
      online(async ({ client, output }) => {
        const seen = await Promise.all(Object.entries(probes).map(([service, probe]) => look(client, service, probe)));
        output.table(seen, seen, [
          { title: 'SERVICE', value: (s) => s.service },
          { title: 'STATE', value: (s) => s.state },
          { title: 'ROUND TRIP', value: (s) => `${s.ms.toFixed(1)} ms` },
          { title: 'CODE', value: (s) => s.code ?? 'OK' },
          { title: 'DETAIL', value: (s) => s.detail },
        ]);
        // Those who may read the policies are told what one person could do to them.
        const guards = await client.policy.listGuards().then(
          (shown) => shown.guards,
          (error) => (error instanceof ClavigerError ? [] : Promise.reject(error)),
        );
        for (const line of weakLines(guards)) output.note(line);
        if (seen.some(({ state }) => state === 'unavailable')) throw new Finding('A service is not available');
      }),
    );
}

/** A refusal is an answer: policy need not let everybody do everything for a service to be in good health. */
async function look(client: Client, service: string, probe: (client: Client) => Promise<unknown>): Promise<Seen> {
  const started = performance.now();
  try {
    await probe(client);
    return { service, state: 'answers', ms: performance.now() - started };
  } catch (error) {
    if (!(error instanceof ClavigerError)) throw error;
    const state = exitCodeOf(error) === exitCodes.unavailable ? 'unavailable' : 'answers';
    return { service, state, ms: performance.now() - started, code: error.code, detail: error.detail };
  }
}
