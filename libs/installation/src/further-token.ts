import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { FurtherTokens, furtherTokensMost } from '@claviger/contracts';
import { completeToken, HsmError, initToken, readPin, Token, tokenState } from '@claviger/hsm';
import { newPin } from './ceremony';
import { kryopticSlot } from './kryoptic-slots';
import { type layout, tokenNames } from './layout';
import { writeSecret } from './secret-file';

export interface AddToken {
  place: ReturnType<typeof layout>;
  /** PKCS#11 library, an absolute path: it is written down. */
  libraryPath: string;
  label: string;
  /** Of a token that was initialised elsewhere, such as a partition of an HSM. Left out, a free slot is initialised with new PINs. */
  pinFile?: string;
  report: (line: string) => void;
}

export interface AddedToken {
  family: Token['family'];
  furtherTokensFile: string;
  /** For the environment of each crypto-worker. */
  env: Record<string, string>;
}

/**
 * One more token for keys of algorithms that the customer token lacks: initialised where it is new, its canary made, and named in
 * further-tokens.json. Doing it twice changes nothing, and an interrupted one goes on. What is listed may hold keys, so it is opened and never
 * initialised: one that is not there now is away, and not absent.
 * @throws HsmError HSM_TOKEN_NOT_FOUND (listed, or pinFile given, and no such token), HSM_PIN_INCORRECT, HSM_CAPACITY (no free slot, no place in the list),
 * HSM_KEY_EXISTS (somebody else's token has the label)
 */
export function addToken({ place, libraryPath, label, pinFile, report }: AddToken): AddedToken {
  const file = place.furtherTokensFile;
  const listed = existsSync(file) ? FurtherTokens.parse(JSON.parse(readFileSync(file, 'utf8'))) : [];
  if ((tokenNames as string[]).includes(label))
    throw new HsmError('HSM_ARGUMENT_INVALID', `${label} is a token of the installation itself`);
  const known = listed.find((token) => token.label === label);
  if (!known && listed.length >= furtherTokensMost)
    throw new HsmError('HSM_CAPACITY', `${file} names ${furtherTokensMost} tokens already, the most that a worker opens`);
  const entry = { ...known, label, library: libraryPath, pinFile: pinFile ?? known?.pinFile ?? place.pinFile(label) };
  // Its place stays: in their order they are asked for new keys.
  const tokens = FurtherTokens.parse(known ? listed.map((token) => (token === known ? entry : token)) : [...listed, entry]);

  const { env, slots } = libraryEnvironment(place, libraryPath, label);
  Object.assign(process.env, env);
  const isMade = pinFile !== undefined || known !== undefined;
  const token = isMade
    ? Token.open({ libraryPath, tokenLabel: label, pin: readPin(entry.pinFile) })
    : initialiseAndOpen({ place, libraryPath, label, slots, report });
  if (known) report(`token ${label}: there already`);
  try {
    token.createCanary();
    writeFileSync(`${file}.new`, `${JSON.stringify(tokens, null, 2)}\n`);
    renameSync(`${file}.new`, file);
    return { family: token.family, furtherTokensFile: file, env: { FURTHER_TOKENS_FILE: file, ...env } };
  } finally {
    token.close();
  }
}

/** From wherever an interrupted run ended. PINs are on the disk before a token has them: one that nobody knows would be a token that nobody opens. */
function initialiseAndOpen({ place, libraryPath, label, slots, report }: Omit<AddToken, 'pinFile'> & { slots: number[] }): Token {
  const [pinFile, begunFile, soPinFile] = [place.pinFile(label), place.begunPinFile(label), place.soPinFile(label)];
  const state = tokenState(libraryPath, label);
  if (!existsSync(pinFile) && !existsSync(begunFile)) {
    // Its PIN is another's: offering one of ours would spend one of the attempts that it has.
    if (state !== 'absent') throw new HsmError('HSM_KEY_EXISTS', `A token ${label} is there already; name its PIN with --pin-file`);
    mkdirSync(dirname(pinFile), { recursive: true, mode: 0o700 });
    if (!existsSync(soPinFile)) writeSecret(soPinFile, newPin());
    writeSecret(begunFile, newPin());
  }
  const isBegun = !existsSync(pinFile);
  const pin = readPin(isBegun ? begunFile : pinFile);
  if (state === 'without-pin') completeToken(libraryPath, { label, soPin: readPin(soPinFile), pin });
  else if (state === 'absent' && isBegun) initToken(libraryPath, { label, soPin: readPin(soPinFile), pin, slots });
  const token = Token.open({ libraryPath, tokenLabel: label, pin });
  if (isBegun) renameSync(begunFile, pinFile);
  report(`token ${label}: ${isBegun ? 'initialised' : 'there already'}`);
  return token;
}

/** Libraries that run in the worker's own process read from the environment where their tokens lie. What is set already stays. */
function libraryEnvironment(
  place: AddToken['place'],
  libraryPath: string,
  label: string,
): { env: Record<string, string>; slots: number[] } {
  // A second SoftHSM token lies beside the customer token: one process has one configuration.
  if (process.env.SOFTHSM2_CONF === undefined) process.env.SOFTHSM2_CONF = place.softhsmConf('customer');
  if (!basename(libraryPath).includes('kryoptic')) return { env: {}, slots: [] };
  const { KRYOPTIC_CONF } = process.env;
  if (KRYOPTIC_CONF !== undefined) return { env: { KRYOPTIC_CONF }, slots: [] };
  const slot = kryopticSlot(place.kryopticConf, place.kryopticStore(label));
  return { env: { KRYOPTIC_CONF: place.kryopticConf }, slots: [slot] };
}
