import { Alert } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { identified } from '../src/alert-id';
import { breakGlassAlert, readBreakGlass } from '../src/detectors/break-glass';

const time = '2026-11-24T08:00:05.000Z';
const place = { streamSeq: 12, line: 3 };
const record = {
  ...{ kind: 'operation', id: 'r-1', time, service: 'policy', action: 'access:BreakGlass', principal: 'otto', session: 's', revisions: {} },
  ...{
    outcome: 'success',
    change: 'ch_AAAAAAAAAAAAAAAAAAAAAA',
    approvedBy: ['sofia'],
    reason: 'the role key-administrator for 30 min: fire',
  },
};

test('whoever takes a role in an emergency is a critical alert that names them, who approved, and why', () => {
  const alert = Alert.parse(identified(breakGlassAlert(readBreakGlass(record, place)!), record.id));
  expect(alert).toMatchObject({ detector: 'break-glass', severity: 'critical', principal: 'otto', firstSeen: time, evidence: [place] });
  expect(alert.explanation).toMatch(/otto.*key-administrator.*fire.*sofia.*ch_A.*break-glass-reviews/);
  // Its process ended before it could record it.
  const { outcome: _, ...committed } = { ...record, kind: 'committed', record: 'r-1', committedAt: time, revision: 7 };
  expect(breakGlassAlert(readBreakGlass(committed, place)!)).toMatchObject({ severity: 'critical', principal: 'otto' });
});

test('what was asked for and not done, or is of somebody else than policy, is none', () => {
  for (const other of [
    { outcome: 'denied', code: 'ERR_APPROVAL_REQUIRED' },
    { service: 'key-lifecycle' },
    { action: 'access:Request' },
    { kind: 'x' },
  ])
    expect(readBreakGlass({ ...record, ...other }, place)).toBeUndefined();
  const long = breakGlassAlert(readBreakGlass({ ...record, reason: 'x'.repeat(5_000) }, place)!);
  expect(long.explanation.length + long.seen.length).toBeLessThan(3_000);
});
