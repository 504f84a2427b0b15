import { Alert, stateRefusals } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { identifiedByCause } from '../src/alert-id';
import { readRefusedState, refusedStateAlert, refusedStateCause } from '../src/detectors/refused-state';

const record = {
  ...{ kind: 'refused-state', id: 'r-1', time: '2026-11-24T08:00:05.000Z', service: 'crypto-worker' },
  ...{ bucket: 'policy', key: 'bundle', reason: 'older-revision', detail: 'revision 3 after 4', holder: 'crypto-worker.w-1', count: 1 },
};
const place = { streamSeq: 12, line: 3 };
const alertOf = (change: object, at = place) => {
  const found = readRefusedState({ ...record, ...change }, at)!;
  return Alert.parse(identifiedByCause(refusedStateAlert(found), refusedStateCause(found)));
};

test('state that its owner did not write is a critical alert that says what, where and who refused it', () => {
  const alert = alertOf({});
  expect(alert).toMatchObject({ detector: 'refused-state', severity: 'critical', lastSeen: record.time, evidence: [place] });
  expect(alert.explanation).toMatch(/crypto-worker\.w-1 .*policy\/bundle.*put back.*revision 3 after 4/);
  expect(alertOf({ bucket: 'store', reason: 'tampered-document' }).explanation).toMatch(/document store.*edited/);
  expect(stateRefusals.map((reason) => alertOf({ reason }).severity)).toContain('high');
  expect(alertOf({ keyId: 'k_AAAAAAAAAAAAAAAAAAAAAA' }).keyId).toBe('k_AAAAAAAAAAAAAAAAAAAAAA');
});

test('what several holders record, and record again that day, is one alert; another reason, place or day is another', () => {
  const { alertId } = alertOf({});
  const later = { id: 'r-2', time: '2026-11-24T09:00:00.000Z', holder: 'audit.a-1', detail: 'revision 2 after 4' };
  expect(alertOf(later, { streamSeq: 99, line: 0 }).alertId).toBe(alertId);
  const others = [{ reason: 'not-signed' }, { key: 'mark' }, { bucket: 'keys' }, { time: '2026-11-25T08:00:05.000Z' }].map(
    (change) => alertOf(change).alertId,
  );
  expect(new Set([alertId, ...others]).size).toBe(5);
});

test('what no service writes is passed over, and long texts are cut', () => {
  for (const wrong of [{ reason: 'because' }, { extra: 1 }, { count: 'many' }])
    expect(readRefusedState({ ...record, ...wrong }, place)).toBeUndefined();
  const { title, explanation, seen } = alertOf({ key: 'k'.repeat(9_000), detail: 'd'.repeat(9_000), holder: 'h'.repeat(9_000) });
  expect(title.length + explanation.length + seen.length).toBeLessThan(3_000);
});
