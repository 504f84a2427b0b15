import { Alert } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { identified } from '../src/alert-id';
import { accessNoticeAlert, readAccessNotice } from '../src/detectors/access-notice';

const time = '2026-11-24T08:00:05.000Z';
const place = { streamSeq: 12, line: 3 };
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
