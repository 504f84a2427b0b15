import type { AlertNotice } from '@claviger/client';
import type { Alert } from '@claviger/contracts';
import type { Command } from 'commander';
import { wholeNumber } from '../pairs';
import { online } from '../run';

/** What the detector found. */
export function alertsCommands(program: Command): void {
  const alerts = program.command('alerts').description('what the anomaly detector found');
  alerts
    .command('watch')
    .description('print alerts as they are raised; one JSON line each with --json')
    .option('--durable', "read from the security team's own consumer: nothing is missed, each is acknowledged when printed")
    .option('--count <n>', 'stop after this many')
    .action(
      online<{ durable?: boolean; count?: string }>(async ({ client, options: { durable = false, count }, output }) => {
        const stop = new AbortController();
        for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
        let left = wholeNumber('--count', count) ?? Number.POSITIVE_INFINITY;
        if (left < 1) return;
        output.note('watching; Ctrl-C ends it');
        for await (const notice of client.watchAlerts({ durable, signal: stop.signal })) {
          output.event(notice.alert ?? notice.raw, told(notice));
          // Not a break: the last one printed is acknowledged too.
          if (--left === 0) stop.abort();
        }
      }),
    );
  alerts
    .command('list')
    .description('newest first')
    .option('--status <status>', 'open or acknowledged')
    .option('--limit <n>', 'at most 200', '50')
    .action(
      online<{ status?: Alert['status']; limit: string }>(async ({ client, options: { status, limit }, output }) => {
        const found = await client.alerts.list({ limit: wholeNumber('--limit', limit), ...(status ? { status } : {}) });
        output.table(found.alerts, found.alerts, [
          { title: 'ALERT', value: (a) => a.alertId },
          { title: 'LAST SEEN', value: (a) => a.lastSeen },
          { title: 'SEVERITY', value: (a) => a.severity },
          { title: 'STATUS', value: (a) => a.status },
          { title: 'PRINCIPAL', value: (a) => a.principal },
          { title: 'KEY', value: (a) => a.keyId },
          { title: 'TITLE', value: (a) => a.title },
        ]);
      }),
    );
  alerts
    .command('ack <alert>')
    .description('say that you look after it')
    .requiredOption('--note <text>')
    .action(
      online<{ note: string }, [string]>(async ({ client, options: { note }, output }, alertId) => {
        const alert = await client.alerts.acknowledge({ alertId, note });
        output.fields(alert, { alert: alert.alertId, status: alert.status, by: alert.acknowledgedBy, note: alert.note });
      }),
    );
}

function told({ type, alert, raw }: AlertNotice): string {
  if (!alert) return `a notice that this version cannot read: ${raw}`;
  const what = type.endsWith('.acknowledged') ? 'acknowledged' : alert.severity.toUpperCase();
  return [
    `${alert.lastSeen}  ${what}  ${alert.title}`,
    `  ${alert.explanation}`,
    `  expected ${alert.expected}; seen ${alert.seen}`,
    `  alert ${alert.alertId}, ${alert.evidence.length} record(s) show it`,
  ].join('\n');
}
