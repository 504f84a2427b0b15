import { expect, test } from '@jest/globals';
import { RecoveryGroup } from '../src/index';

const digest = Buffer.alloc(32, 1).toString('base64url');
const member = (index: number, name: string) => ({ name, index, shareDigest: digest });
const group: RecoveryGroup = {
  ...{ format: 'claviger.recovery-group/1', groupId: '0123456789abcdefABCDEF', threshold: 2 },
  members: [member(1, 'Ann Weber'), member(2, 'ben'), member(3, 'eve')],
  publicKeySpki: Buffer.alloc(550).toString('base64url'),
  wrappedPrivate: { mechanism: 0x210b, family: 'kryoptic', wrapped: Buffer.alloc(2_384).toString('base64url') },
  ...{ createdAt: '2026-01-31T12:00:00.000Z', secretCheck: digest },
};

test('a recovery group has two members or more, each once and in order, of whom two or more are needed, and no field beside', () => {
  expect(RecoveryGroup.parse(group)).toEqual(group);
  const [ann, ben, eve] = group.members as [(typeof group.members)[0], (typeof group.members)[0], (typeof group.members)[0]];
  const wrongs: Record<string, unknown>[] = [
    { threshold: 1 },
    { threshold: 4 },
    { members: [ann] },
    { members: [ann, eve, ben] },
    { members: [ann, { ...ben, name: ann.name }] },
    { members: [ann, { ...ben, share: 'clav1' }] },
    { members: [ann, { ...ben, name: 'b\u001b[2Jen' }] },
    { groupId: 'short' },
    { secret: digest },
  ];
  for (const wrong of wrongs) expect(RecoveryGroup.safeParse({ ...group, ...wrong }).success).toBe(false);
});
