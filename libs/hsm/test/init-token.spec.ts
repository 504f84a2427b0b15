import { randomBytes } from 'node:crypto';
import { afterEach, expect, test } from '@jest/globals';
import { completeToken, initToken, Token, tokenState } from '../src/index';
import { Library } from '../src/library';
import { caught, families, freshKryopticToken, freshToken, kryopticLibrary, kryopticSlots, libraryPath } from './fresh-token';

const user = { libraryRestarted() {}, inUse: false };
let library: Library | undefined;
afterEach(() => library?.release(user));

/** As a process leaves it that is killed between C_InitToken and C_InitPIN. */
function interruptedToken(family: 'softhsm' | 'kryoptic') {
  library = Library.acquire(family === 'softhsm' ? libraryPath : kryopticLibrary!, user);
  const { p11, path } = library;
  const own = family === 'softhsm' ? undefined : kryopticSlots();
  const slot = p11
    .C_GetSlotList(true)
    .find((each) => (p11.C_GetTokenInfo(each).flags & 0x400) === 0 && (own?.includes(Number(each.readBigUInt64LE(0))) ?? true))!;
  const [tokenLabel, soPin, pin] = [`t-${randomBytes(8).toString('hex')}`, randomBytes(8).toString('hex'), randomBytes(8).toString('hex')];
  p11.C_InitToken(slot, soPin, tokenLabel.padEnd(32));
  return { libraryPath: path, tokenLabel, soPin, pin };
}

test('a token is initialised with its PIN, and never over one of the same label', () => {
  const fresh = freshToken();
  Token.open(fresh).close();
  const again = () => initToken(libraryPath, { label: fresh.tokenLabel, soPin: '87654321', pin: '12345678' });
  expect(caught(again)).toMatchObject({ code: 'HSM_KEY_EXISTS' });
  Token.open(fresh).close();
});

test('a label or PIN that the token cannot take is refused before anything is changed', () => {
  expect(caught(() => initToken(libraryPath, { label: 'x'.repeat(33), soPin: '87654321', pin: '12345678' }))).toMatchObject({
    code: 'HSM_ARGUMENT_INVALID',
  });
  expect(caught(() => initToken(libraryPath, { label: 'short-pin', soPin: '87654321', pin: '1' }))).toMatchObject({
    code: 'HSM_PIN_INCORRECT',
  });
  expect(caught(() => Token.open({ libraryPath, tokenLabel: 'short-pin', pin: '1' }))).toMatchObject({ code: 'HSM_TOKEN_NOT_FOUND' });
});

test.each(families)('%s: an initialisation that ended before the PIN is seen as that, never begun anew, and completed', (family) => {
  const { soPin, ...interrupted } = interruptedToken(family);
  const { tokenLabel: label, pin } = interrupted;
  const state = () => tokenState(interrupted.libraryPath, label);
  expect(state()).toBe('without-pin');
  expect(caught(() => initToken(interrupted.libraryPath, { label, soPin, pin }))).toMatchObject({ code: 'HSM_KEY_EXISTS' });
  expect(caught(() => completeToken(interrupted.libraryPath, { label, soPin: 'that-of-another', pin }))).toMatchObject({
    code: 'HSM_PIN_INCORRECT',
  });
  expect(state()).toBe('without-pin');
  completeToken(interrupted.libraryPath, { label, soPin, pin });
  expect(state()).toBe('complete');
  Token.open(interrupted).close();
});

test.each(families)('%s: the PIN of a complete token is not replaced, and a token that is not there is absent', (family) => {
  const fresh = family === 'softhsm' ? freshToken() : freshKryopticToken();
  const completed = (label: string) => completeToken(fresh.libraryPath, { label, soPin: 'whatever', pin: 'another-pin' });
  expect(tokenState(fresh.libraryPath, fresh.tokenLabel)).toBe('complete');
  expect(caught(() => completed(fresh.tokenLabel))).toMatchObject({ code: 'HSM_KEY_EXISTS' });
  expect(tokenState(fresh.libraryPath, 'never-made')).toBe('absent');
  expect(caught(() => completed('never-made'))).toMatchObject({ code: 'HSM_TOKEN_NOT_FOUND' });
  Token.open(fresh).close();
});
