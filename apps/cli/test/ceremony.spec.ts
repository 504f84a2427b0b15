import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CeremonyTranscript, RecoveryGroup, Trust } from '@claviger/contracts';
import { readMachine, type TemporaryFolder, temporaryFolder } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { buildCommand, claviger } from './command-line';

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder('cli-ceremony');
  await buildCommand();
  const { publicKey, privateKey } = generateKeyPairSync('x25519');
  writeFileSync(at('eve.pub'), publicKey.export({ format: 'pem', type: 'spki' }));
  writeFileSync(at('eve.key'), privateKey.export({ format: 'pem', type: 'pkcs8' }));
});
afterAll(() => folder.remove());

const at = (...names: string[]) => join(folder.path, ...names);
const library = () => readMachine().pkcs11.libraryPath;
const inPlace = () => ['--folder', at('i'), '--library', library()];
const custodians = (...names: string[]) => names.flatMap((name) => ['--custodian', name]);
const ceremony = (...args: string[]) => claviger(['--json', 'ceremony', ...args]);
const hold = (...more: string[]) =>
  ceremony(
    ...inPlace(),
    '--threshold',
    '2',
    ...custodians('ann', 'ben', `eve=${at('eve.pub')}`),
    '--witness',
    'wim',
    '--shares-to',
    at('usb'),
    ...more,
  );
const rehearse = (...shares: string[]) => ceremony('rehearse-recovery', ...inPlace(), ...shares.flatMap((share) => ['--share', share]));
const groupInForce = () => RecoveryGroup.parse(JSON.parse(readFileSync(at('i', 'recovery-group.json'), 'utf8')));
const trust = () => Trust.parse(JSON.parse(readFileSync(at('i', 'trust.json'), 'utf8')));
const ceremonies = () => readdirSync(at('i', 'ceremonies')).sort();
const shareFile = (where: string, index: number) => {
  const { shareDigest } = groupInForce().members[index - 1]!;
  return at(where, readdirSync(at(where)).find((name) => name.startsWith(`share-${index}-${shareDigest.slice(0, 8)}.`))!);
};
const contents = (where: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(where, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => [join(entry.parentPath, entry.name), readFileSync(join(entry.parentPath, entry.name)).toString('base64')]),
  );

let first: { groupId: string; transcript: string; digest: string };
test('a ceremony makes tokens, keys and the recovery group, and a signed transcript that holds what was read back and no secret', async () => {
  const { code, stdout, stderr } = await hold('--operator', 'otto');
  expect([code, stderr]).toEqual([0, expect.stringContaining('token customer: initialised')]);
  first = JSON.parse(stdout);
  const group = groupInForce();
  expect(trust().recovery).toEqual({ [group.groupId]: group.publicKeySpki });
  const text = readFileSync(join(first.transcript, 'transcript.txt'), 'utf8');
  const canonical = readFileSync(join(first.transcript, 'transcript.json'), 'utf8');
  const transcript = CeremonyTranscript.parse(JSON.parse(canonical));
  expect(transcript).toMatchObject({ ceremony: 'installation', recoveryGroup: group, trust: trust() });
  expect(transcript.tokens.map(({ label }) => label).sort()).toEqual(['control', 'customer', 'detection', 'ledger']);
  const root = transcript.tokens.flatMap(({ keys }) => keys).find(({ label }) => label === 'root');
  expect(root?.attributes).toMatchObject({ CKA_EXTRACTABLE: false, CKA_NEVER_EXTRACTABLE: true, CKA_LOCAL: true, CKA_DECRYPT: false });
  expect(transcript.handovers.map(({ by }) => by)).toEqual(['file', 'file', 'encrypted']);
  expect(text).toContain(first.digest);
  const share = readFileSync(shareFile('usb', 1), 'utf8').trim();
  expect(share).toMatch(/^clav1( [a-z0-9]{5}){17}$/);
  for (const open of [stdout, stderr, text, canonical])
    for (const part of share.split(' ').slice(1)) expect(open).not.toContain(` ${part}`);
});

test('held again it keeps everything', async () => {
  const before = contents(at('i'));
  const { code, stdout } = await hold();
  expect([code, JSON.parse(stdout)]).toEqual([0, expect.objectContaining({ created: false, groupId: first.groupId })]);
  expect(contents(at('i'))).toEqual(before);
});

test('a signature is checked by trust.json: an altered transcript, or one that another key signed, is exit 1', async () => {
  const file = join(first.transcript, 'transcript.jws');
  const verify = (transcript: string, trustFile: string) =>
    ceremony('verify', '--offline', '--transcript', transcript, '--trust-file', trustFile);
  const { code, stdout } = await verify(file, at('i', 'trust.json'));
  expect([code, JSON.parse(stdout)]).toEqual([0, expect.objectContaining({ signature: 'valid', digest: first.digest })]);
  const [header, payload, signature] = readFileSync(file, 'utf8').trim().split('.') as [string, string, string];
  const altered = Buffer.from(Buffer.from(payload, 'base64url').toString().replace('"wim"', '"tim"')).toString('base64url');
  writeFileSync(at('altered.jws'), [header, altered, signature].join('.'));
  const other = {
    ...trust(),
    control: {
      'control-1': generateKeyPairSync('ec', { namedCurve: 'P-256' })
        .publicKey.export({ format: 'der', type: 'spki' })
        .toString('base64url'),
    },
  };
  writeFileSync(at('other-trust.json'), JSON.stringify(other));
  expect((await verify(at('altered.jws'), at('i', 'trust.json'))).code).toBe(1);
  expect((await verify(file, at('other-trust.json'))).code).toBe(1);
  expect((await verify(at('eve.pub'), at('i', 'trust.json'))).code).toBe(65);
});

test('two shares prove that they open the group, of which nothing is left; one, or a wrong key for an encrypted one, does not', async () => {
  const encrypted = join(first.transcript, readdirSync(first.transcript).find((name) => name.endsWith('.jwe'))!);
  const before = contents(at('i'));
  const { code, stdout } = await rehearse(shareFile('usb', 2), `${encrypted}=${at('eve.key')}`);
  expect([code, JSON.parse(stdout)]).toEqual([
    0,
    expect.objectContaining({ opens: true, groupId: first.groupId, custodians: ['ben', 'eve'] }),
  ]);
  expect(contents(at('i'))).toEqual(before);
  const wrong = generateKeyPairSync('x25519').privateKey.export({ format: 'pem', type: 'pkcs8' });
  writeFileSync(at('wrong.key'), wrong);
  expect((await rehearse(shareFile('usb', 2), `${encrypted}=${at('wrong.key')}`)).code).toBe(65);
  expect(await rehearse(shareFile('usb', 2))).toMatchObject({ code: 5, stderr: expect.stringContaining('needs 2') });
  const typed = at('typed.txt');
  writeFileSync(
    typed,
    readFileSync(shareFile('usb', 1), 'utf8').replace(/ (.)/, (_, character: string) => (character === 'q' ? ' p' : ' q')),
  );
  expect(await rehearse(typed, shareFile('usb', 2))).toMatchObject({
    code: 65,
    stderr: expect.stringContaining('a character of it is another'),
  });
});

test('a group whose public key is not that of trust.json is not opened', async () => {
  const group = groupInForce();
  const publicKeySpki = generateKeyPairSync('rsa', { modulusLength: 4096 })
    .publicKey.export({ format: 'der', type: 'spki' })
    .toString('base64url');
  writeFileSync(at('swapped.json'), JSON.stringify({ ...group, publicKeySpki }));
  const { code, stderr } = await ceremony(
    'rehearse-recovery',
    '--library',
    library(),
    '--group',
    at('swapped.json'),
    '--trust-file',
    at('i', 'trust.json'),
    '--share',
    shareFile('usb', 1),
  );
  expect([code, stderr]).toEqual([65, expect.stringContaining('not the one in trust.json')]);
});

test('interrupted before its group was in force a ceremony is held anew; interrupted after, only its folder gets its name', async () => {
  const [name] = ceremonies() as [string];
  renameSync(at('i', 'ceremonies', name), at('i', 'ceremonies', `${name}.begun`));
  expect(JSON.parse((await hold()).stdout)).toMatchObject({ created: false, transcript: first.transcript });
  expect(ceremonies()).toEqual([name]);

  renameSync(at('i', 'ceremonies', name), at('i', 'ceremonies', `${name}.begun`));
  rmSync(at('i', 'recovery-group.json'));
  const again = JSON.parse((await hold()).stdout) as typeof first;
  expect(again).toMatchObject({ created: true });
  expect(again.groupId).not.toBe(first.groupId);
  expect(ceremonies()).toHaveLength(1);
  expect(trust().recovery).toEqual({ [again.groupId]: groupInForce().publicKeySpki });
  expect(CeremonyTranscript.parse(JSON.parse(readFileSync(join(again.transcript, 'transcript.json'), 'utf8'))).ceremony).toBe(
    'recovery-group',
  );
  first = again;
});

test('reshared, the group keeps its key and its id; new shares open it and old ones do not', async () => {
  const old = [shareFile('usb', 1), shareFile('usb', 2)] as const;
  const { publicKeySpki } = groupInForce();
  const reshare = (...shares: string[]) =>
    ceremony(
      'reshare',
      ...inPlace(),
      '--threshold',
      '2',
      ...custodians('kim', 'lee', 'max'),
      '--shares-to',
      at('usb'),
      ...shares.flatMap((share) => ['--share', share]),
    );
  expect(await reshare(old[0])).toMatchObject({ code: 5, stderr: expect.stringContaining('needs 2') });
  expect(existsSync(at('i', 'ceremonies', `${ceremonies().at(-1)}.begun`))).toBe(false);
  const { code, stdout } = await reshare(...old);
  expect([code, JSON.parse(stdout)]).toEqual([
    0,
    expect.objectContaining({ created: true, groupId: first.groupId, custodians: ['kim', 'lee', 'max'] }),
  ]);
  expect(groupInForce().publicKeySpki).toBe(publicKeySpki);
  const transcript = CeremonyTranscript.parse(JSON.parse(readFileSync(join(JSON.parse(stdout).transcript, 'transcript.json'), 'utf8')));
  expect(transcript).toMatchObject({ ceremony: 'reshare', opened: { members: ['ann', 'ben'] } });
  expect((await rehearse(...old)).code).toBe(65);
  expect((await rehearse(shareFile('usb', 1), shareFile('usb', 3))).code).toBe(0);
});

test('what is wrong with the people is said before anything is made; without a terminal shares need another way', async () => {
  const wrong = ['--folder', at('j'), '--library', library()];
  for (const args of [
    ['--threshold', '1', ...custodians('ann', 'ben')],
    ['--threshold', '2', ...custodians('ann', 'ann')],
    ['--threshold', '2', ...custodians('ann', 'ben')],
  ])
    expect((await ceremony(...wrong, ...args)).code).toBe(64);
  const twice = [...custodians(`ann=${at('eve.pub')}`, `ben=${at('eve.pub')}`), '--threshold', '2'];
  expect(await ceremony(...wrong, ...twice)).toMatchObject({ code: 64, stderr: expect.stringContaining('the same key') });
  expect(existsSync(at('j'))).toBe(false);
});
