import { Alert } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { identified } from '../src/alert-id';
import { accessNoticeAlert, readAccessNotice } from '../src/detectors/access-notice';
import { readRefusedState, refusedStateAlert } from '../src/detectors/refused-state';

const time = '2026-11-24T08:00:05.000Z';
const place = { streamSeq: 12, line: 3 };
const refused = {
  ...{ kind: 'refused-state', id: 'r-1', time, service: 'policy', bucket: 'store', key: 'bundle' },
  ...{ reason: 'tampered-document', detail: 'its record is of another content', holder: 'p-1', count: 1 },
};

test('a document that somebody changed past its service is a critical alert that names it, who refused it and why', () => {
  const alert = Alert.parse(identified(refusedStateAlert(readRefusedState(refused, place)!)!, refused.id));
  expect(alert).toMatchObject({
    detector: 'refused-state',
    severity: 'critical',
    evidence: [place],
    title: expect.stringContaining('store/bundle'),
  });
  expect(alert.explanation).toMatch(/p-1.*tampered-document.*another content/);
});

test('a bucket that is behind is none, and what no service writes is passed over', () => {
  for (const reason of ['incomplete', 'older-revision', 'deleted'])
    expect(refusedStateAlert(readRefusedState({ ...refused, reason }, place)!)).toBeUndefined();
  for (const wrong of [{ ...refused, reason: 'x' }, { ...refused, extra: 1 }, { kind: 'refused-state' }])
    expect(readRefusedState(wrong, place)).toBeUndefined();
});

test('what policy says of access by itself is an alert; the same action of a caller is none', () => {
  const record = {
    ...{ kind: 'operation', id: 'r-2', time, service: 'policy', action: 'access:ReviewOverdue', principal: 'policy', session: 'schedule' },
    ...{ revisions: {}, outcome: 'success', reason: 'review r_1 was due' },
  };
  const alert = Alert.parse(identified(accessNoticeAlert(readAccessNotice(record, place)!), record.id));
  expect(alert).toMatchObject({ detector: 'access-governance', severity: 'medium', seen: 'review r_1 was due' });
  const kept = readAccessNotice({ ...record, action: 'access:KeepLastHolder' }, place);
  expect(accessNoticeAlert(kept!).severity).toBe('high');
  for (const other of [
    { ...record, principal: 'eve' },
    { ...record, service: 'audit' },
    { ...record, action: 'policy:Publish' },
  ])
    expect(readAccessNotice(other, place)).toBeUndefined();
});
