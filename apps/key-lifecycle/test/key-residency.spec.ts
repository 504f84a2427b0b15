import { expect, test } from '@jest/globals';
import { scheduleDeletion } from '../src/key';
import { viewKey } from '../src/key-description';
import { setResidency } from '../src/key-residency';
import { Site } from '../src/site';
import { newKey, nowMs } from './made-keys';

test('a residency is one revision, reaches the workers, and can be taken away', () => {
  const key = newKey();
  const eu = setResidency(key, ['eu']);
  expect([eu.residency, eu.revision, viewKey(eu).residency]).toEqual([['eu'], 2, ['eu']]);
  expect(setResidency(eu, ['eu'])).toBe(eu);
  const anywhere = setResidency(eu, undefined);
  expect([anywhere.revision, 'residency' in anywhere, 'residency' in viewKey(anywhere)]).toEqual([3, false, false]);
  expect(setResidency(key, undefined)).toBe(key);
  expect(() => setResidency(scheduleDeletion(key, 7, { by: 'kim', reason: 'r' }, nowMs), ['eu'])).toThrow(/ERR_KEY_PENDING_DELETION/);
});

test('a site keeps only keys that may be in its region; one of which nobody said where it is, only those that may be anywhere', () => {
  new Site('eu').assertResident(['us', 'eu']);
  new Site(undefined).assertResident(undefined);
  expect(() => new Site('eu').assertResident(['us'])).toThrow(/ERR_RESIDENCY: The key may be in us, and this site is in eu/);
  expect(() => new Site(undefined).assertResident(['us'])).toThrow(/SITE_REGION/);
});

test('what may not be stored at a site is told apart, with why; where nobody said where that is, nothing with a residency may', () => {
  const of = (name: string, residency?: string[]) => ({ name, key: residency ? { residency } : {} });
  const all = [of('anywhere'), of('ch', ['ch']), of('both', ['us', 'ch'])];
  const names = (region?: string) => {
    const { here, elsewhere } = new Site(region).parted(all);
    return [here.map(({ name }) => name), elsewhere.map(({ entry, why }) => `${entry.name}: ${why}`)];
  };
  expect(names('ch')).toEqual([['anywhere', 'ch', 'both'], []]);
  expect(names('us')).toEqual([['anywhere', 'both'], ['ch: The key may be in ch, and this site is in us.']]);
  expect(names()).toEqual([['anywhere'], [expect.stringContaining('SITE_REGION'), expect.stringContaining('both: ')]]);
});
