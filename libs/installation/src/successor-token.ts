import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { certifierOf, FurtherTokens, furtherTokensMost, nextGenerationOf, Trust } from '@claviger/contracts';
import { HsmError, readPin, Token, tokenKeyLabels } from '@claviger/hsm';
import { type AddedToken, type AddToken, addToken } from './further-token';

export interface AddSuccessor extends AddToken {
  /** The token that it is to take the place of, the first of the workers until now, and its library. */
  inPlaceOf: { label: string; libraryPath: string };
}

export interface AddedSuccessor extends AddedToken {
  /** Its name in trust.json. */
  certifier: string;
  /** For the environment of each crypto-worker, once all keys are in it. */
  envAfter: Record<string, string>;
}

const { certifier: certifierLabel } = tokenKeyLabels.customer;

/**
 * A further token that is to become the first of the workers: it gets a certifier of its own, which trust.json names beside that of the token before, and
 * both tokens are in the list, so that one list serves every worker meanwhile. The root is made in it by the job that moves the keys. Doing it twice changes
 * nothing, and an interrupted one goes on. @throws HsmError as addToken does
 */
export function addSuccessor({ inPlaceOf, ...options }: AddSuccessor): AddedSuccessor {
  const { place, libraryPath, label, report } = options;
  if (inPlaceOf.label === label) throw new HsmError('HSM_ARGUMENT_INVALID', `${label} cannot take its own place`);
  const added = addToken(options);
  const spki = certifierIn(libraryPath, label, readPin(entryOf(place.furtherTokensFile, label).pinFile)).toString('base64url');
  const trust = Trust.parse(JSON.parse(readFileSync(place.trustFile, 'utf8')));
  const known = Object.keys(trust.certifiers).find((kid) => trust.certifiers[kid] === spki);
  const certifier = known ?? nextGenerationOf(certifierOf['crypto-worker'] as string, Object.keys(trust.certifiers));
  if (known === undefined) {
    replace(place.trustFile, { ...trust, certifiers: { ...trust.certifiers, [certifier]: spki } });
    report(`${certifier} is in ${place.trustFile}: give it to every service, and to whoever verifies the ledger`);
  }
  retire(place.furtherTokensFile, { label: inPlaceOf.label, library: inPlaceOf.libraryPath, pinFile: place.pinFile(inPlaceOf.label) });
  const { pinFile } = entryOf(place.furtherTokensFile, label);
  return { ...added, certifier, envAfter: { PKCS11_LIBRARY: libraryPath, HSM_TOKEN_LABEL: label, HSM_PIN_FILE: pinFile } };
}

/** The public half; the pair is made where there is none. */
function certifierIn(libraryPath: string, tokenLabel: string, pin: string): Buffer {
  const token = Token.open({ libraryPath, tokenLabel, pin });
  try {
    return token.generateTokenKeyPair(certifierLabel, 'EC_P256');
  } catch (error) {
    if (!(error instanceof HsmError && error.code === 'HSM_KEY_EXISTS')) throw error;
    return token.publicKeySpki(certifierLabel);
  } finally {
    token.close();
  }
}

/** Listed for the workers of which it is no longer the first, and marked, so that nothing new is made in it. */
function retire(file: string, left: FurtherTokens[number]): void {
  const listed = read(file);
  const known = listed.find(({ label }) => label === left.label);
  if (known?.retired) return;
  if (!known && listed.length >= furtherTokensMost)
    throw new HsmError('HSM_CAPACITY', `${file} names ${furtherTokensMost} tokens already, the most that a worker opens`);
  const retired = { ...(known ?? left), retired: true as const };
  replace(file, known ? listed.map((token) => (token === known ? retired : token)) : [...listed, retired]);
}

const read = (file: string): FurtherTokens => FurtherTokens.parse(JSON.parse(readFileSync(file, 'utf8')));
const entryOf = (file: string, label: string) => read(file).find((token) => token.label === label) as FurtherTokens[number];

function replace(file: string, content: object): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(content, null, 2)}\n`);
  renameSync(`${file}.new`, file);
}
