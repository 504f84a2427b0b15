import { expect, test } from '@jest/globals';
import { peopleOf } from '../src/ceremony-people';

const people = (more: object) => peopleOf({ custodian: ['Ann Weber', 'ben', 'eve=/keys/eve.pem'], threshold: '2', ...more });

test('custodians, witnesses and operator take part, each once; a custodian may come with a key', () => {
  expect(people({ witness: ['wim'], operator: 'otto' })).toEqual({
    custodians: [{ name: 'Ann Weber' }, { name: 'ben' }, { name: 'eve', publicKeyFile: '/keys/eve.pem' }],
    threshold: 2,
    participants: [
      { name: 'Ann Weber', role: 'custodian' },
      { name: 'ben', role: 'custodian' },
      { name: 'eve', role: 'custodian' },
      { name: 'wim', role: 'witness' },
      { name: 'otto', role: 'operator' },
    ],
  });
});

test('one custodian, a threshold of one or above their number, one person in two roles, and names that are none are refused', () => {
  const wrongs = [
    ...[{ custodian: ['ann'] }, { custodian: Array.from({ length: 17 }, (_, i) => `c${i}`) }],
    ...['1', '4', '0', '2.5', '', 'two'].map((threshold) => ({ threshold })),
    ...[{ witness: ['BEN '] }, { operator: 'eve' }, { custodian: ['ann', 'Ann'] }],
    ...[{ witness: [''] }, { witness: ['w\u001b[2J'] }, { custodian: ['=/keys/eve.pem', 'ben'] }, { operator: 'x'.repeat(129) }],
  ];
  for (const wrong of wrongs) expect(() => people(wrong)).toThrow(expect.objectContaining({ kind: 'usage' }));
});
