import { expect, test } from '@jest/globals';
import { inTime, kekUseMs } from '../src/kek-use';

test('what took too long by either clock is not written: one stands still while a host is suspended, the other may be set back', () => {
  for (const [monotonic, wall, isInTime] of [
    [kekUseMs, kekUseMs, true],
    [kekUseMs + 1, 0, false],
    [0, kekUseMs + 1, false],
    [kekUseMs + 1, -3_600_000, false],
  ] as const) {
    let [atMonotonic, atWall] = [5, 1_000_000];
    const assertInTime = inTime(
      () => atMonotonic,
      () => atWall,
    );
    [atMonotonic, atWall] = [atMonotonic + monotonic, atWall + wall];
    if (isInTime) assertInTime();
    else expect(assertInTime).toThrow('ERR_TIMEOUT');
  }
});
