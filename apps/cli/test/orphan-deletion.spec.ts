import { ClavigerError } from '@claviger/client';
import type { KeyDescription } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { type Orphan, type OrphanOutcome, scheduleDeletions } from '../src/orphan-deletion';
import { described } from './keys-described';

const orphans: Orphan[] = Array.from({ length: 3 }, () => {
  const key = described();
  return { key, last: { keyId: key.keyId, known: 'never' } };
});
const deletionAt = '2027-01-01T00:00:00.000Z';

/** Of one schedule, with what the second key of it fails with. */
async function scheduled(failure: Error) {
  const told: [Orphan, OrphanOutcome][] = [];
  const scheduleDeletion = async ({ keyId }: { keyId: string }) => {
    if (keyId === orphans[1]?.key.keyId) throw failure;
    return { key: { deletionAt } as KeyDescription, confirmed: true, workers: [], fenced: [] };
  };
  const run = scheduleDeletions({ keys: { scheduleDeletion } }, orphans, { reason: 'r', waitDays: 7 }, (...one) => void told.push(one));
  return { told, ended: await run.catch((error: unknown) => error) };
}

test('an orphan that is refused keeps no other from its deletion', async () => {
  const { told, ended } = await scheduled(new ClavigerError('ERR_KEY_PROTECTED', { detail: 'backup:2026' }));
  expect(ended).toBeUndefined();
  expect(told).toEqual([
    [orphans[0], { deletionAt }],
    [orphans[1], { refused: { code: 'ERR_KEY_PROTECTED', detail: 'backup:2026' } }],
    [orphans[2], { deletionAt }],
  ]);
});

test.each(['ERR_TIMEOUT', 'ERR_CONNECTION', 'ERR_AUTHENTICATION'] as const)(
  '%s is no refusal: what became of that one is not known, and no other is asked for',
  async (code) => {
    const { told, ended } = await scheduled(new ClavigerError(code));
    expect(ended).toMatchObject({ code });
    expect(told).toEqual([[orphans[0], { deletionAt }]]);
  },
);
