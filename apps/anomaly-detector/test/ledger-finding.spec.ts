import { Alert, cloudEvent } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { identified } from '../src/alert-id';
import { ledgerAlert, readFinding } from '../src/detectors/ledger-finding';

const time = '2026-11-24T08:00:00.000Z';
const event = cloudEvent('io.claviger.ledger.finding', {
  id: 'f-1',
  source: '/claviger/audit',
  time,
  data: { finding: 'gap', detail: 'batch 7 is missing', streamSeq: 12, index: 340, worker: 'w-1' },
});
const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));

test('a finding of the ledger is a critical alert that says where', () => {
  const finding = readFinding(bytes(event));
  const alert = identified(ledgerAlert(finding!), finding!.id);
  expect(Alert.parse(alert)).toMatchObject({
    detector: 'ledger-finding',
    severity: 'critical',
    evidence: [{ streamSeq: 12, line: 0 }],
    firstSeen: time,
  });
  expect(alert.explanation).toContain(
    'gap at AUDIT message 12 of worker w-1. batch 7 is missing The ledger holds this finding at index 340.',
  );
});

test('everything else on the stream is passed over', () => {
  const checkpoint = cloudEvent('io.claviger.ledger.checkpoint', {
    id: 'c',
    source: 's',
    time,
    data: { checkpoint: 'x', size: 1, streamSeq: 1 },
  });
  for (const value of [checkpoint, { ...event, extra: 1 }, { ...event, data: { finding: 1 } }, null, []])
    expect(readFinding(bytes(value))).toBeUndefined();
  expect(readFinding(Buffer.from('{'))).toBeUndefined();
});
