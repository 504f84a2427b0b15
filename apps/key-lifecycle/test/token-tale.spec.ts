import type { KnownToken } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import type { Sighting } from '../src/token-sightings';
import { nothingToldOf, type ToldOfToken, toldNow, withoutTales } from '../src/token-tale';
import { type HeardOfToken, heardOf } from '../src/token-words';
import { knownToken } from './made-keys';

const day = 86_400_000;
const lastMs = Date.parse('2027-01-31T12:00:00.000Z');
const ending = knownToken({ validUntil: '2027-01-31' });

/** What is told at each look, one after another. */
function series() {
  let told: ToldOfToken = nothingToldOf('customer');
  return (token: KnownToken, nowMs: number, { bundle = 1, heard }: { bundle?: number; heard?: HeardOfToken } = {}) => {
    told = toldNow(told, token, { heard, bundle, nowMs });
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

/** What a replica heard, and when: of each worker which model its token says it is, or that it has none such. `away`: serving, and not heard. */
const heard = (atMs: number, models: Record<string, string | undefined>, away: string[] = []): HeardOfToken => ({
  words: Object.entries(models).map(([worker, model]) => ({
    ...{ worker, atMs },
    ...(model === undefined ? {} : { reported: { model, firmware: '7.8', serialNumber: '0042' } }),
  })),
  known: new Set([...Object.keys(models), ...away]),
});

test('each set of differences is told once, and silence of the workers takes none back', () => {
  const look = series();
  const active = knownToken();
  expect(look(active, lastMs, { heard: heard(1, { a: 'K8' }) })).toEqual(['mismatch']);
  for (const silent of [undefined, heard(2, {}, ['a']), heard(2, {})])
    expect(look(active, lastMs, silent ? { heard: silent } : {})).toEqual([]);
  expect(look(active, lastMs, { heard: heard(3, { a: 'K8' }) })).toEqual([]);
  expect(look(active, lastMs, { heard: heard(4, { a: 'K7' }) })).toEqual([]);
  expect(look(active, lastMs, { heard: heard(5, { a: 'K8' }) })).toEqual(['mismatch']);
  // The record was put right, and then made wrong again.
  expect(look({ ...active, model: 'K8' }, lastMs, { bundle: 2, heard: heard(5, {}, ['a']) })).toEqual([]);
  expect(look(active, lastMs, { bundle: 3, heard: heard(5, {}, ['a']) })).toEqual(['mismatch']);
});

test('what one worker said another does not take back, nor does a replica that heard it before', () => {
  const look = series();
  const active = knownToken();
  expect(look(active, lastMs, { heard: heard(10, { a: 'K7', b: 'K8' }) })).toEqual(['mismatch']);
  for (const n of [11, 12, 13]) {
    expect(look(active, lastMs, { heard: heard(n, { a: 'K7' }, ['b']) })).toEqual([]);
    expect(look(active, lastMs, { heard: heard(5, { a: 'K7', b: 'K7' }) })).toEqual([]);
    expect(look(active, lastMs, { heard: heard(n, { a: 'K7', b: 'K8' }) })).toEqual([]);
  }
  // It says something else by now; who heard it before tells nothing again.
  expect(look(active, lastMs, { heard: heard(20, { a: 'K7', b: 'K7' }) })).toEqual([]);
  expect(look(active, lastMs, { heard: heard(13, { a: 'K7', b: 'K8' }) })).toEqual([]);
  expect(look(active, lastMs, { heard: heard(21, { a: 'K7', b: 'K8' }) })).toEqual(['mismatch']);
  // The worker is no more, and another one says the same.
  expect(look(active, lastMs, { heard: heard(22, { a: 'K7' }) })).toEqual([]);
  expect(look(active, lastMs, { heard: heard(23, { a: 'K7', c: 'K8' }) })).toEqual(['mismatch']);
});

test('a worker that serves no more is not heard, and one that has no such token says so', () => {
  const seen = (label: string, worker: string): Sighting => ({
    ...{ label, worker, root: true, reached: true, heardMs: 1 },
    reported: { manufacturer: 'x', model: 'K8', firmware: '7.8', serialNumber: '0042', family: 'x' },
  });
  const all = [seen('customer', 'a'), seen('pq', 'a'), seen('pq', 'b'), seen('customer', 'gone')];
  expect(heardOf('customer', all, new Set(['a', 'b', 'c']))).toEqual({
    words: [
      { worker: 'a', atMs: 1, reported: { model: 'K8', firmware: '7.8', serialNumber: '0042' } },
      { worker: 'b', atMs: 1 },
    ],
    known: new Set(['a', 'b', 'c', 'gone']),
  });
  expect(heardOf('customer', all, undefined)).toBeUndefined();
});

test('what is told names the vendor, whom to reach there and within how long', () => {
  const { untold } = toldNow(nothingToldOf('customer'), knownToken({ status: 'revoked' }), { heard: undefined, bundle: 1, nowMs: lastMs });
  expect(untold).toMatchObject([
    { detail: expect.stringMatching(/certificate 4567 was revoked.*tokens\.json.*Example HSM: psirt@.*within 24 hours: /) },
  ]);
});
