import { Alert } from '@claviger/contracts';
import { finishBatch, genesisPrev, sealBatch } from '@claviger/ledger';
import { expect, test } from '@jest/globals';
import { identifiedByCause } from '../src/alert-id';
import { Detection } from '../src/detection';
import { quotaPutBackAlert, quotaPutBackCause, readQuotaRecord } from '../src/detectors/quota-refusals';
import { readUses } from '../src/observed-use';
import { alertsOf, settings, startMs, use } from './series-of-uses';

const hourMs = 3_600_000;
const refused = (atMs: number, count: number, principal = 'payments-api') =>
  Array.from({ length: count }, (_, n) => use(atMs + n, { principal, outcome: 'denied', code: 'ERR_QUOTA_EXCEEDED' }));
const record = {
  ...{ kind: 'quota', id: 'q-1', time: new Date(startMs).toISOString(), service: 'crypto-worker', event: 'exceeded' },
  ...{ quota: 'decrypts', limit: 500, window: 'minute', principal: 'payments-api', holder: 'crypto-worker.w-1' },
};
const place = { streamSeq: 12, line: 3 };

test('a principal that goes on after quotas refused it is an alert: how often, since when, which quota, which records', () => {
  const detection = new Detection(settings);
  detection.usedUp(readQuotaRecord(record, place)!);
  expect(alertsOf(refused(0, 99), detection)).toEqual([]);
  const [alert, ...more] = alertsOf(refused(500, 3), detection);
  expect(more).toEqual([]);
  expect(Alert.parse(alert)).toMatchObject({ detector: 'quota-refusals', severity: 'medium', principal: 'payments-api' });
  expect(alert?.explanation).toContain('decrypts (500 a minute) refused 100 operations of payments-api');
  expect(alert?.evidence).toHaveLength(10);
});

test('refusals that are far apart, and those of several principals, are no burst; other refusals are none', () => {
  const slow = [0, 61_000, 122_000].flatMap((at) => refused(at, 60));
  const shared = ['a', 'b', 'c'].flatMap((principal) => refused(0, 60, principal));
  const others = Array.from({ length: 150 }, (_, n) => use(n, { outcome: 'denied', code: 'ERR_ACCESS_DENIED' }));
  for (const uses of [slow, shared, others]) expect(alertsOf(uses)).toEqual([]);
});

test('it is one alert a principal and hour, also over a restart, and the next one tells how many bursts there were', () => {
  const detection = new Detection(settings);
  expect(alertsOf([...refused(0, 100), ...refused(5_000, 200)], detection)).toHaveLength(1);
  const restarted = new Detection(settings, JSON.parse(JSON.stringify(detection.state())));
  const [next] = alertsOf(refused(hourMs + 5_000, 100), restarted);
  expect(next?.explanation).toContain('2 more such bursts');
});

test('a counter that was put back is one alert a day, whoever records it; that a quota is used up is none', () => {
  const found = (change: object) => readQuotaRecord({ ...record, event: 'put-back', ...change }, place)!;
  const alertOf = (change: object) => Alert.parse(identifiedByCause(quotaPutBackAlert(found(change))!, quotaPutBackCause(found(change))));
  expect(alertOf({})).toMatchObject({ detector: 'quota-put-back', severity: 'high', principal: 'payments-api', evidence: [place] });
  expect(alertOf({ holder: 'crypto-worker.w-2', id: 'q-2' }).alertId).toBe(alertOf({}).alertId);
  expect(alertOf({ quota: 'signs' }).alertId).not.toBe(alertOf({}).alertId);
  expect(quotaPutBackAlert(found({ event: 'exceeded' }))).toBeUndefined();
});

test('records of quotas are read out of a batch, and what no service writes is passed over', () => {
  const lines = [record, { ...record, event: 'perhaps' }].map((line) => JSON.stringify(line));
  const sealed = sealBatch({ service: 'crypto-worker', worker: 'w-1', epoch: 'e1', seq: 1, prev: genesisPrev() }, lines);
  const { quotas, ignored } = readUses(7, finishBatch(sealed, Buffer.alloc(64)), startMs);
  expect([quotas.length, quotas[0]?.record.quota, ignored]).toEqual([1, 'decrypts', 1]);
});
