import { keyOperations } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { differences, type WantedKey, wantedKeys } from '../src/wanted-keys';
import { described, version } from './keys-described';

async function* pieces(text: string, size: number) {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
const read = async (text: string, size = 7) => {
  const found: WantedKey[] = [];
  for await (const one of wantedKeys(pieces(text, size))) found.push(one);
  return found;
};
const key = (more: object = {}) => ({ name: 'a', algorithm: 'AES_256', ...more });

test('each line is a key with its line number, however the file comes in; empty lines are passed over', async () => {
  const text = `${JSON.stringify(key({ description: 'für Müller' }))}\n\n${JSON.stringify(key({ name: 'b', tags: { pci: 'yes' } }))}`;
  for (const size of [1, 7, 1_000]) {
    const found = await read(text, size);
    expect(found.map(({ line, key: { name } }) => [line, name])).toEqual([
      [1, 'a'],
      [3, 'b'],
    ]);
    expect(found[0]?.key).toMatchObject({ description: 'für Müller', environment: 'development', classification: 'internal' });
  }
});

test.each([
  ['{"name":"a"', 'line 1 is not JSON'],
  ['\n{"name":"A b","algorithm":"AES_256"}', 'line 2: name: a key name'],
  [JSON.stringify(key({ algorithm: 'DES' })), 'line 1: algorithm: '],
  [JSON.stringify(key({ colour: 'red' })), 'line 1: the object: '],
  [`{"name":"${'x'.repeat(200_000)}`, 'line 1 has more than'],
])('a line that is no key is refused by its number: %#', async (text, why) => {
  await expect(read(text, 10_000)).rejects.toThrow(why);
});

test('a key is what a line asks for when nothing that the line decides is another, whatever has happened to the key since', async () => {
  const [wanted] = (await read(JSON.stringify(key({ name: 'payments/a', consumers: ['y', 'x'], team: 'payments' })))) as [WantedKey];
  const there = described({ name: 'payments/a', owner: 'kim', consumers: ['x', 'y'], team: 'payments', tags: {} });
  expect(differences(wanted, { ...there, environment: 'development', suspended: true, revision: 9 }, 'kim')).toEqual([]);
  expect(differences(wanted, { ...there, environment: 'development' }, 'lee')).toEqual(['owner']);
  expect(differences(wanted, { ...there, environment: 'staging', team: 'fraud' }, 'kim')).toEqual(['environment', 'team']);
});

test('every field that a line can have is looked at, and named when the key that is there has another', async () => {
  const at = '2027-01-31T08:00:00.000Z';
  const line = { name: 'a', algorithm: 'AES_256', consumers: ['y', 'x'], residency: ['eu', 'ch'] };
  const there = described({ name: 'a', owner: 'kim', environment: 'development', consumers: ['x', 'y'], residency: ['ch', 'eu'] });
  delete there.team;
  const differing = async (more: object, is: object = {}) => {
    const [wanted] = (await read(JSON.stringify({ ...line, ...more }))) as [WantedKey];
    return differences(wanted, { ...there, ...is }, 'kim');
  };
  expect(await differing({})).toEqual([]);
  const cryptoperiod = { originatorDays: 10, recipientDays: 20 };
  const others = {
    ...{ name: 'b', algorithm: 'AES_128', environment: 'staging', classification: 'secret', owner: 'lee' },
    ...{ origin: 'external', exportable: true, team: 't', contact: 'c', description: 'd', tags: { t: 'u' } },
    ...{ consumers: ['x'], residency: ['ch'], activateAt: at, cryptoperiod, schedule: { everySeconds: 86_400 }, atEnd: 'rotate' },
    usage: 'derive',
  };
  expect(Object.keys(others).sort()).toEqual(Object.keys(keyOperations.create.item.shape).sort());
  for (const [field, value] of Object.entries(others)) {
    const [wanted] = (await read(JSON.stringify(line))) as [WantedKey];
    expect(differences({ ...wanted, key: { ...wanted.key, [field]: value } as WantedKey['key'] }, there, 'kim')).toContain(field);
  }
  expect(await differing({ residency: undefined })).toEqual(['residency']);
  expect(await differing({}, { activationAt: at })).toEqual(['activateAt']);
  expect(await differing({ activateAt: at }, { activationAt: at })).toEqual([]);
  expect(await differing({ activateAt: at }, { activationAt: '2027-02-28T08:00:00.000Z' })).toEqual(['activateAt']);
  const waited = version({ transitions: [{ to: 'pre-activation', at, reason: 'created' }] });
  expect(await differing({ activateAt: at }, { versions: [waited] })).toEqual([]);
});
