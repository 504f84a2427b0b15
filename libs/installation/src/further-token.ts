import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { FurtherTokens } from '@claviger/contracts';
import { HsmError, initToken, readPin, Token, type TokenOptions } from '@claviger/hsm';
import { newPin } from './ceremony';
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
 * further-tokens.json. Doing it twice changes nothing, and an interrupted one goes on.
 * @throws HsmError HSM_TOKEN_NOT_FOUND (pinFile given, no such token), HSM_PIN_INCORRECT, HSM_CAPACITY (no free slot)
 */
export function addToken({ place, libraryPath, label, pinFile, report }: AddToken): AddedToken {
  const file = place.furtherTokensFile;
  const listed = existsSync(file) ? FurtherTokens.parse(JSON.parse(readFileSync(file, 'utf8'))) : [];
  if ((tokenNames as string[]).includes(label))
    throw new HsmError('HSM_ARGUMENT_INVALID', `${label} is a token of the installation itself`);
  const known = listed.find((token) => token.label === label);
  const entry = { ...known, label, library: libraryPath, pinFile: pinFile ?? known?.pinFile ?? place.pinFile(label) };
  // Its place stays: in their order they are asked for new keys.
  const tokens = FurtherTokens.parse(known ? listed.map((token) => (token === known ? entry : token)) : [...listed, entry]);

  const env = libraryEnvironment(place, libraryPath, label);
  Object.assign(process.env, env);
  const options = { libraryPath, tokenLabel: label };
  const token = pinFile === undefined ? openOrInitialise(options, place, report) : Token.open({ ...options, pin: readPin(pinFile) });
  try {
    token.createCanary();
    writeFileSync(`${file}.new`, `${JSON.stringify(tokens, null, 2)}\n`);
    renameSync(`${file}.new`, file);
    return { family: token.family, furtherTokensFile: file, env: { FURTHER_TOKENS_FILE: file, ...env } };
  } finally {
    token.close();
  }
}

function openOrInitialise(options: Omit<TokenOptions, 'pin'>, place: AddToken['place'], report: AddToken['report']): Token {
  const { libraryPath, tokenLabel: label } = options;
  // Written before the token is made: a PIN that nobody has would be a token that nobody opens.
  const secrets = [place.pinFile(label), place.soPinFile(label)];
  const isNew = !existsSync(place.pinFile(label));
  for (const secret of secrets) {
    mkdirSync(dirname(secret), { recursive: true, mode: 0o700 });
    if (!existsSync(secret)) writeSecret(secret, newPin());
  }
  const pin = readPin(place.pinFile(label));
  try {
    initToken(libraryPath, { label, soPin: readPin(place.soPinFile(label)), pin });
    report(`token ${label}: initialised`);
  } catch (error) {
    if (!(error instanceof HsmError && error.code === 'HSM_KEY_EXISTS')) throw error;
    if (isNew) {
      // Its PIN is another's: offering ours would spend one of the attempts that it has.
      for (const secret of secrets) rmSync(secret, { force: true });
      throw new HsmError('HSM_KEY_EXISTS', `A token ${label} is there already; name its PIN with --pin-file`);
    }
    report(`token ${label}: there already`);
  }
  return Token.open({ ...options, pin });
}

/** Libraries that run in the worker's own process read from the environment where their tokens lie. What is set already stays. */
function libraryEnvironment(place: AddToken['place'], libraryPath: string, label: string): Record<string, string> {
  // A second SoftHSM token lies beside the customer token: one process has one configuration.
  if (process.env.SOFTHSM2_CONF === undefined) process.env.SOFTHSM2_CONF = place.softhsmConf('customer');
  if (!basename(libraryPath).includes('kryoptic')) return {};
  const conf = process.env.KRYOPTIC_CONF ?? place.kryopticConf;
  if (process.env.KRYOPTIC_CONF === undefined) addKryopticSlot(conf, place.kryopticStore(label));
  return { KRYOPTIC_CONF: conf };
}

/** kryoptic has the slots that its configuration lists, each with a file of objects. */
function addKryopticSlot(conf: string, store: string): void {
  mkdirSync(dirname(store), { recursive: true, mode: 0o700 });
  const slots = existsSync(conf) ? readFileSync(conf, 'utf8') : '';
  const dbargs = `dbargs = ${JSON.stringify(store)}`;
  if (slots.includes(dbargs)) return;
  const number = slots.split('[[slots]]').length - 1;
  writeFileSync(`${conf}.new`, `${slots}[[slots]]\nslot = ${number}\ndbtype = "sqlite"\n${dbargs}\n`);
  renameSync(`${conf}.new`, conf);
}
