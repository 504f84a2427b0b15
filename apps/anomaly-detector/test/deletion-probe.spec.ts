import { Alert } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { Detection } from '../src/detection';
import { alertsOf, keyId, settings, use } from './series-of-uses';

const hourMs = 3_600_000;
const refused = (atMs: number, n = 1, more = {}) =>
  use(atMs, { keyId: keyId(n), outcome: 'failed', code: 'ERR_KEY_PENDING_DELETION', ...more });

test('who asks for a key that waits for its deletion is told to those who can cancel it: which key, who, and what to do', () => {
  const [alert, ...more] = alertsOf([use(0, { keyId: keyId(1) }), refused(1_000, 1, { principal: 'reports', action: 'crypto:Decrypt' })]);
  expect(more).toEqual([]);
  expect(Alert.parse(alert)).toMatchObject({ detector: 'deletion-probe', severity: 'high', principal: 'reports', keyId: keyId(1) });
  expect(alert?.explanation).toContain('cancel the deletion');
  expect(alert?.seen).toBe('crypto:Decrypt by reports, refused');
});

test('it is one alert a key and hour, also over a restart, and the next one tells how many attempts there were', () => {
  const detection = new Detection(settings);
  expect(alertsOf([refused(0), refused(1), refused(2, 2)], detection)).toHaveLength(2);
  const restarted = new Detection(settings, JSON.parse(JSON.stringify(detection.state())));
  expect(alertsOf([refused(hourMs - 1_000)], restarted)).toEqual([]);
  const [next] = alertsOf([refused(hourMs)], restarted);
  expect(next?.explanation).toContain('2 other attempts');
  expect(alertsOf([refused(2 * hourMs)], new Detection(settings, { ...detection.state(), wantedKeys: undefined as never }))).toHaveLength(
    1,
  );
});

test('no other refusal, no management of the key, and nothing without a key is one', () => {
  const others = [
    refused(0, 1, { code: 'ERR_KEY_SUSPENDED' }),
    refused(0, 1, { action: 'keys:Rotate' }),
    refused(0, 1, { keyId: undefined }),
    use(0, { keyId: keyId(1), outcome: 'denied', code: 'ERR_ACCESS_DENIED' }),
  ];
  expect(alertsOf(others)).toEqual([]);
});
