import type { KnownToken } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { nothingToldOf, type ToldOfToken, toldNow, withoutTales } from '../src/token-tale';
import { knownToken } from './made-keys';

const day = 86_400_000;
const lastMs = Date.parse('2027-01-31T12:00:00.000Z');
const ending = knownToken({ validUntil: '2027-01-31' });

/** What is told at each look, one after another. */
function series() {
  let told: ToldOfToken = nothingToldOf('customer');
  return (
    token: KnownToken,
    nowMs: number,
    { bundle = 1, mismatches = [] as { what: 'model'; recorded: string; reported: string }[] } = {},
  ) => {
    told = toldNow(told, token, { mismatches, bundle, nowMs });
    const said = told.untold.map(({ event, data }) => `${event} ${data.state ?? data.days ?? ''}`.trim());
    told = withoutTales(told, new Set(told.untold.map(({ id }) => id)));
    return said;
  };
}

test('the end of a validation is told 30, 7 and 1 days before and when it is over, each once', () => {
  const look = series();
  expect(look(ending, lastMs - 31 * day)).toEqual([]);
  expect(look(ending, lastMs - 29 * day)).toEqual(['validation-ending 30']);
  expect(look(ending, lastMs - 28 * day)).toEqual([]);
  // What came since the last look is told as what it is now.
  expect(look(ending, lastMs)).toEqual(['validation-ending 1']);
  expect(look(ending, lastMs + day)).toEqual(['validation-ended expired']);
  expect(look(ending, lastMs + 9 * day)).toEqual([]);
  // A replica whose clock is behind takes nothing back.
  expect(look(ending, lastMs)).toEqual([]);
  expect(look(ending, lastMs + 10 * day)).toEqual([]);
  const renewed = knownToken({ certificate: '4999', validUntil: '2027-02-20' });
  expect(look(renewed, lastMs + 10 * day, { bundle: 2 })).toEqual(['validation-ending 11']);
});

test('a validation that is revoked, given back and revoked again is told each time; an older bundle takes nothing back', () => {
  const look = series();
  const [active, revoked] = [knownToken(), knownToken({ status: 'revoked' })];
  expect(look(revoked, lastMs, { bundle: 2 })).toEqual(['validation-ended revoked']);
  expect(look(active, lastMs, { bundle: 1 })).toEqual([]);
  expect(look(revoked, lastMs, { bundle: 2 })).toEqual([]);
  expect(look(active, lastMs, { bundle: 3 })).toEqual([]);
  expect(look(revoked, lastMs, { bundle: 4 })).toEqual(['validation-ended revoked']);
  expect(look(knownToken({ status: 'historical' }), lastMs, { bundle: 5 })).toEqual(['validation-ended historical']);
  expect(look({ ...active, firmware: '9.9' }, lastMs, { bundle: 6 })).toEqual(['validation-ended not-covered']);
  expect(look({ ...active, validation: { standard: 'none' } }, lastMs, { bundle: 7 })).toEqual([]);
});

test('each set of differences is told once, and silence of the workers takes none back', () => {
  const look = series();
  const active = knownToken();
  const mismatches = [{ what: 'model' as const, recorded: 'K7', reported: 'K8' }];
  expect(look(active, lastMs, { mismatches })).toEqual(['mismatch']);
  const told = toldNow(toldNow(nothingToldOf('customer'), active, { mismatches, bundle: 1, nowMs: lastMs }), active, {
    mismatches: undefined,
    bundle: 1,
    nowMs: lastMs,
  });
  expect(told.mismatch).toBeDefined();
  expect(look(active, lastMs, { mismatches })).toEqual([]);
  expect(look(active, lastMs)).toEqual([]);
  expect(look(active, lastMs, { mismatches })).toEqual(['mismatch']);
});

test('what is told names the vendor, whom to reach there and within how long', () => {
  const { untold } = toldNow(nothingToldOf('customer'), knownToken({ status: 'revoked' }), { mismatches: [], bundle: 1, nowMs: lastMs });
  expect(untold).toMatchObject([
    { detail: expect.stringMatching(/certificate 4567 was revoked.*tokens\.json.*Example HSM: psirt@.*within 24 hours: /) },
  ]);
});
