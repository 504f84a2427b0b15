import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Fold } from '../src/index';

test('a fold loses no event and tells a bounded number of kinds apart', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ reason: fc.constantFrom('a', 'b'), ip: fc.string({ maxLength: 3 }) }), { maxLength: 400 }),
      (events) => {
        const fold = new Fold<{ reason: string; ip?: string }>(
          ({ reason, ip }) => JSON.stringify([reason, ip]),
          ({ reason }) => ({ reason }),
          10,
        );
        for (const event of events) fold.add(event);
        const taken = fold.take();
        expect(taken.reduce((sum, { count }) => sum + count, 0)).toBe(events.length);
        expect(taken.length).toBeLessThanOrEqual(12);
        expect(fold.take()).toEqual([]);
      },
    ),
  );
});
