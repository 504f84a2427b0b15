import { Alert } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { identified } from '../src/alert-id';
import { readTokenRecord, tokenAlert } from '../src/detectors/token-failure';

const time = '2026-11-24T08:00:05.000Z';
const since = '2026-11-24T08:00:00.000Z';
const record = {
  kind: 'token',
  id: 'r-1',
  time,
  service: 'crypto-worker',
  event: 'failing',
  token: 'customer',
  since,
  detail: 'no answer',
  holder: 'w-1',
};
const place = { streamSeq: 12, line: 3 };

test('a token that fails is a high alert that names it and its worker; one that is well again is none', () => {
  const failure = readTokenRecord(record, place);
  const alert = Alert.parse(identified(tokenAlert(failure!)!, failure!.record.id));
  expect(alert).toMatchObject({ detector: 'token-failure', severity: 'high', firstSeen: since, lastSeen: time, evidence: [place] });
  expect(alert.explanation).toMatch(/w-1.*customer.*no answer/);
  const well = readTokenRecord({ ...record, event: 'well' }, place);
  expect(tokenAlert(well!)).toBeUndefined();
});

test('what no worker writes is passed over, and long texts are cut', () => {
  for (const wrong of [{ ...record, event: 'gone' }, { ...record, extra: 1 }, { ...record, since: 'yesterday' }, { kind: 'token' }])
    expect(readTokenRecord(wrong, place)).toBeUndefined();
  const long = tokenAlert(readTokenRecord({ ...record, token: 't'.repeat(500), detail: 'd'.repeat(5_000) }, place)!)!;
  expect(long.title.length + long.explanation.length).toBeLessThan(2_000);
});

test('a validation that ends or has ended, and a token that is another, are alerts of their own', () => {
  const alertOf = (event: string) => {
    const found = readTokenRecord({ ...record, service: 'key-lifecycle', event, detail: 'Token customer lost its validation.' }, place)!;
    return Alert.parse(identified(tokenAlert(found)!, found.record.id));
  };
  expect(['validation-ending', 'validation-ended', 'mismatch'].map((event) => alertOf(event).severity)).toEqual(['medium', 'high', 'high']);
  expect(alertOf('validation-ended')).toMatchObject({
    ...{ detector: 'token-assurance', explanation: 'Token customer lost its validation.', evidence: [place] },
    title: 'Token customer counts as validated no more',
  });
});
