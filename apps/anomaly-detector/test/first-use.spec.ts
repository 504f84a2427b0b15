import { Alert } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { Detection } from '../src/detection';
import { usersPerKeyMax } from '../src/detectors/first-use';
import { alertsOf, keyId, settings, use } from './series-of-uses';

const hourMs = 3_600_000;
const by = (principal: string, atMs: number, n = 1) => use(atMs, { principal, keyId: keyId(n) });

test('given a key whose users are known, when somebody new uses it, then there is an alert that names both', () => {
  const [alert, ...more] = alertsOf([
    by('payments-api', 0),
    by('reports', 1_000),
    by('batch-job', 2 * hourMs),
    by('batch-job', 2 * hourMs + 1),
  ]);
  expect(more).toEqual([]);
  expect(Alert.parse(alert)).toMatchObject({ detector: 'first-use', severity: 'medium', principal: 'batch-job', keyId: keyId(1) });
  expect(alert?.expected).toBe('use by payments-api, reports, as in the 2 hours since its first use');
  expect(alert?.seen).toBe('crypto:Encrypt by batch-job, for the first time');
  expect(alert?.evidence).toHaveLength(1);
});

test('in the learning period, users are learnt without an alert; the first user of a key never alerts', () => {
  expect(alertsOf([by('a', 0), by('b', hourMs - 1_000), by('a', 2 * hourMs), by('b', 3 * hourMs), by('c', 9 * hourMs, 2)])).toEqual([]);
});

test('a refused attempt is not a use, and neither is managing a key', () => {
  const denied = use(2 * hourMs, { principal: 'b', keyId: keyId(1), outcome: 'denied' });
  const rotated = use(2 * hourMs, { principal: 'c', keyId: keyId(1), action: 'keys:Rotate' });
  expect(alertsOf([by('a', 0), denied, rotated])).toEqual([]);
});

test('a sweep over many keys is one alert a minute, and the next one tells how many there were', () => {
  const detection = new Detection(settings);
  alertsOf(
    Array.from({ length: 50 }, (_, n) => by('owner', n, n)),
    detection,
  );
  const sweep = alertsOf(
    Array.from({ length: 49 }, (_, n) => by('thief', 2 * hourMs + n * 10, n)),
    detection,
  );
  expect(sweep).toHaveLength(1);
  const [next] = alertsOf([by('thief', 2 * hourMs + 61_000, 49)], detection);
  expect(next?.explanation).toContain('the first use of 48 other keys too');
});

test('a key that is shared by very many is not watched any more, and its memory stays bounded', () => {
  const detection = new Detection(settings);
  const uses = Array.from({ length: usersPerKeyMax + 50 }, (_, n) => by(`p-${n}`, n * 120_000));
  expect(alertsOf(uses, detection)).toHaveLength(usersPerKeyMax - 30);
  expect(detection.state().keyUsers[0]?.[1].users).toHaveLength(usersPerKeyMax);
});
