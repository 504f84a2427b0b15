import { expect, test } from '@jest/globals';
import { differences, type WantedKey, wantedKeys } from '../src/key-file';
import { described } from './keys-described';

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
  [`{"name":"${'x'.repeat(200_000)}`, 'a line has more than'],
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
