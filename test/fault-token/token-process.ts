// A process that holds a token of libs/hsm and does what it is told over IPC: the module reads its variables when it is loaded, and a call that hangs
// holds the whole process, so neither can be done in the one that tests.
import { HsmError, type KeyHandle, Token } from '@claviger/hsm';

/** What can be asked for; `find` is a search for a root key that is there, `findMissing` for one that is not. */
export type Call =
  | 'open'
  | 'encrypt'
  | 'encryptTwice'
  | 'decrypt'
  | 'decryptForged'
  | 'find'
  | 'findMissing'
  | 'unwrap'
  | 'random'
  | 'signAsync'
  | 'create';
export interface Told {
  id: number;
  call: Call;
}
/** `code`: OK, or that of the HsmError. */
export interface Answered {
  id: number;
  code: string;
  ckr?: number;
  tookMs: number;
}

const { HSM_LIBRARY = '', HSM_LABEL = '', HSM_PIN = '' } = process.env;
const iv = Buffer.alloc(12, 1);
const plaintext = Buffer.from('what a test encrypts');
let nowMs = 0;
let token: Token | undefined;
let key: KeyHandle | undefined;
let pair: KeyHandle | undefined;

function open(): Token {
  // Attempts to reach a token that is away are spaced by this clock: each call is a minute after the one before.
  const opened = Token.open({ libraryPath: HSM_LIBRARY, tokenLabel: HSM_LABEL, pin: HSM_PIN, now: () => nowMs });
  opened.createCanary();
  opened.generateRootKey('root');
  opened.generateTokenKeyPair('signer', 'RSA_2048');
  return opened;
}

const held = (): Token => {
  token ??= open();
  return token;
};
const root = () => held().findTokenKey('root', 'secret');
const unwrapped = (): KeyHandle => {
  const { wrapped, mechanism } = held().generateWrapped({ algorithm: 'AES_256', wrappingKey: root() });
  return held().unwrap({ wrapped, mechanism, algorithm: 'AES_256', wrappingKey: root(), usage: 'encrypt' });
};
const encrypt = (): Buffer => {
  if (key?.generation !== held().generation) key = unwrapped();
  return held().encryptGcm(key, iv, plaintext, plaintext);
};
const decrypt = (ciphertext: Buffer) => held().decryptGcm(key as KeyHandle, iv, plaintext, ciphertext);

const calls: Record<Call, () => unknown> = {
  open: held,
  encrypt,
  encryptTwice: () => {
    encrypt();
    encrypt();
  },
  decrypt: () => decrypt(encrypt()),
  decryptForged: () => decrypt(Buffer.concat([encrypt().subarray(0, -1), Buffer.of(0), Buffer.of(0)]).subarray(1)),
  find: () => {
    held();
    Token.connectionOf(held()).tokenKeys.clear();
    root();
  },
  findMissing: () => held().findTokenKey('missing', 'secret'),
  unwrap: unwrapped,
  random: () => held().random(16),
  signAsync: () => {
    pair = held().findTokenKey('signer', 'private');
    return held().signDigestAsync(() => pair as KeyHandle, 'PS256', Buffer.alloc(32, 7));
  },
  create: () => held().generateRootKey(`root-${nowMs}`),
};

process.on('message', async ({ id, call }: Told) => {
  nowMs += 60_000;
  const started = performance.now();
  const outcome: Pick<Answered, 'code' | 'ckr'> = { code: 'OK' };
  try {
    await calls[call]();
  } catch (error) {
    outcome.code = error instanceof HsmError ? error.code : String(error);
    if (error instanceof HsmError && error.ckr !== undefined) outcome.ckr = error.ckr;
  }
  process.send?.({ id, ...outcome, tookMs: performance.now() - started } satisfies Answered);
});
process.once('disconnect', () => process.exit(0));
