import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { RecoveryGroup } from '@claviger/contracts';
import { type RecoveryShare, shareDigest, shareOfText, textOfShare } from '@claviger/hsm';
import { type TemporaryFolder, temporaryFolder } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Desk, endedBySignals, openDesk } from '../src/desk';
import { askForShares, readShares } from '../src/share-collection';
import { decryptShare, readCustodianKey } from '../src/share-encryption';
import { handOver } from '../src/share-handover';

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder('share-handover');
});
afterAll(() => folder.remove());

const names = ['ann', 'ben', 'eve'];
const shares: RecoveryShare[] = names.map((_, i) => ({
  groupId: '4NgQ7xkTz0123456789abc',
  threshold: 2,
  index: i + 1,
  value: randomBytes(32),
}));
const group = {
  ...{ groupId: '4NgQ7xkTz0123456789abc', threshold: 2 },
  members: names.map((name, i) => ({ name, index: i + 1, shareDigest: shareDigest(shares[i]!) })),
} as RecoveryGroup;
const handing = (more: object) => ({
  ...{ group, shares, custodians: names.map((name) => ({ name })), keys: new Map(), encryptedTo: folder.path, pick: () => 4 },
  ...more,
});

/** A desk at which `answer` sits: what was asked, and what was on the screen since it was cleared. */
function deskWith(answer: (question: string, screen: string) => string): { desk: Desk; screens: string[] } {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const screens = [''];
  output.on('data', (data: Buffer) => {
    for (const [i, part] of data.toString().split('\x1b[2J\x1b[3J\x1b[H').entries()) {
      if (i > 0) screens.push('');
      screens[screens.length - 1] += part;
    }
    const screen = screens.at(-1)!;
    if (/[.:] $/.test(screen)) input.write(`${answer(screen.split('\n').at(-1)!, screens.join('\n'))}\n`);
  });
  return { desk: openDesk(input, output), screens };
}
const groupsOf = (i: number) => textOfShare(shares[i]!).split(' ');

test('each custodian sees their share alone, types groups of it back, and finds it gone', async () => {
  let turn = -1;
  const { desk, screens } = deskWith((question) => {
    if (question.includes('come to the screen')) turn++;
    return /type group 6: $/.test(question) ? groupsOf(turn)[5]!.toUpperCase() : '';
  });
  expect(await handOver(handing({ desk }))).toEqual(names.map((_, i) => ({ index: i + 1, by: 'screen' })));
  desk.close();
  for (const [i, name] of names.entries()) {
    const showing = screens.filter((screen) =>
      groupsOf(i)
        .slice(1)
        .every((text) => screen.includes(text)),
    );
    expect(showing).toEqual([expect.stringContaining(name)]);
  }
  expect(screens.slice(-2)).toEqual(['eve has share 3.\n', '']);
});

test('a group that was written down wrong shows the share again; a dialogue that is broken off hands nothing over', async () => {
  let wrong = 2;
  const { desk, screens } = deskWith((question) => (/type group 6: $/.test(question) ? (wrong-- > 0 ? 'wrong' : groupsOf(0)[5]!) : ''));
  await handOver(handing({ desk, shares: shares.slice(0, 1), custodians: [{ name: 'ann' }] }));
  desk.close();
  expect(screens.filter((screen) => screen.includes(groupsOf(0)[9]!))).toHaveLength(3);
  const input = new PassThrough();
  const left = openDesk(input, new PassThrough());
  const handed = handOver(handing({ desk: left }));
  input.end();
  await expect(handed).rejects.toMatchObject({ kind: 'badInput' });
});

const ends = ['end of input', 'SIGINT', 'SIGTERM', 'SIGHUP'];
test.each(ends)('a share that is on the screen when the dialogue is broken off by %s does not stay there', async (how) => {
  const [input, output, signals] = [new PassThrough(), new PassThrough(), new EventEmitter()];
  let screen = '';
  output.on('data', (data: Buffer) => {
    screen = (screen + data.toString()).split('\x1b[2J\x1b[3J\x1b[H').at(-1)!;
    if (/press Enter\. $/.test(screen) && !screen.includes('Share 1')) input.write('\n');
    else if (/press Enter\. $/.test(screen)) setImmediate(() => (how === ends[0] ? input.end() : signals.emit(how)));
  });
  const exits: string[] = [];
  const desk = endedBySignals(openDesk(input, output), signals, () => exits.push(screen));
  await expect(handOver(handing({ desk }))).rejects.toMatchObject({ kind: 'badInput' });
  expect(screen.trim()).toBe('');
  expect(exits).toHaveLength(how === ends[0] ? 0 : 1);
  desk.close();
  expect(signals.eventNames()).toEqual([]);
});

test('a share goes into a file of mode 0600, or to a key of the custodian, of which only the private half opens it', async () => {
  const keys = [
    generateKeyPairSync('rsa', { modulusLength: 3072 }),
    generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    generateKeyPairSync('x25519'),
  ].map(({ publicKey, privateKey }, i) => {
    const [ofPublic, ofPrivate] = [join(folder.path, `${i}.pub`), join(folder.path, `${i}.key`)];
    writeFileSync(ofPublic, publicKey.export({ format: 'pem', type: 'spki' }));
    writeFileSync(ofPrivate, privateKey.export({ format: 'pem', type: 'pkcs8' }));
    return { name: names[i]!, read: readCustodianKey(ofPublic), ofPrivate };
  });
  const named = (index: number, ending: string) =>
    join(folder.path, `share-${index}-${shareDigest(shares[index - 1]!).slice(0, 8)}.${ending}`);
  expect(await handOver(handing({ sharesTo: folder.path }))).toEqual(names.map((_, i) => ({ index: i + 1, by: 'file' })));
  for (const [i] of names.entries()) {
    expect(shareOfText(readFileSync(named(i + 1, 'txt'), 'utf8'))).toEqual(shares[i]);
    expect(statSync(named(i + 1, 'txt')).mode & 0o777).toBe(0o600);
  }
  const handed = await handOver(handing({ keys: new Map(keys.map(({ name, read }) => [name, read])) }));
  expect(handed).toEqual(keys.map(({ read }, i) => ({ index: i + 1, by: 'encrypted', keyFingerprint: read.fingerprint })));
  for (const [i, { ofPrivate }] of keys.entries()) {
    const jwe = readFileSync(named(i + 1, 'jwe'), 'utf8').trim();
    expect(shareOfText(await decryptShare(jwe, ofPrivate))).toEqual(shares[i]);
    await expect(decryptShare(jwe, keys[(i + 1) % 3]!.ofPrivate)).rejects.toMatchObject({ kind: 'badInput' });
  }
  const given = [named(1, 'txt'), `${named(2, 'jwe')}=${keys[1]!.ofPrivate}`];
  expect(await readShares(group, given)).toEqual(shares.slice(0, 2));
  await expect(readShares(group, [`${named(2, 'jwe')}=${join(folder.path, 'no.key')}`])).rejects.toMatchObject({
    message: expect.stringContaining('no.key cannot be read (ENOENT)'),
  });
  await expect(readShares(group, [given[0]!, given[0]!])).rejects.toMatchObject({ message: 'Share 1 was given before' });
});

test('a private key, a short RSA key and a key for signatures are no keys to encrypt a share to', () => {
  const pairs = [
    generateKeyPairSync('rsa', { modulusLength: 2048 }),
    generateKeyPairSync('ed25519'),
    generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
  ];
  const pems = [...pairs.map(({ publicKey }) => publicKey.export({ format: 'pem', type: 'spki' })), 'no key'];
  pems.push(generateKeyPairSync('x25519').privateKey.export({ format: 'pem', type: 'pkcs8' }));
  for (const [i, pem] of pems.entries()) {
    const file = join(folder.path, `wrong-${i}.pem`);
    writeFileSync(file, pem);
    expect(() => readCustodianKey(file)).toThrow(expect.objectContaining({ kind: 'badInput' }));
  }
});

test('custodians type their shares in until there are enough; what is wrong, doubled or foreign is said and asked for again', async () => {
  const foreign = textOfShare({ ...shares[1]!, groupId: '4NgQ7xkTz0123456789abd' });
  const typed = [textOfShare(shares[2]!), 'clav1 xx', textOfShare(shares[2]!), foreign, textOfShare(shares[0]!).toUpperCase()];
  const { desk, screens } = deskWith(() => typed.shift() ?? '');
  expect(await askForShares(group, desk)).toEqual([shares[2], shares[0]]);
  desk.close();
  const said = screens.join('\n');
  for (const what of [
    'Share 3 is right (eve)',
    'no share',
    'given before',
    'of recovery group 4NgQ7xkTz0123456789abd',
    'Share 1 is right (ann)',
  ])
    expect(said).toContain(what);
});
