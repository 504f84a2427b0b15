import { randomBytes } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Trust } from '@claviger/contracts';
import { createControlKeys, createCustomerKeys, createDetectionKeys, createLedgerKeys, initToken, Token } from '@claviger/hsm';
import { encodeVerifierKey, rawEd25519PublicKey } from '@claviger/ledger';
import { type layout, type TokenName, tokenNames } from './layout';
import { writeSecret } from './secret-file';

export interface CeremonyOptions {
  place: ReturnType<typeof layout>;
  /** PKCS#11 library. */
  libraryPath: string;
  /** Name of the log in its checkpoints. */
  origin: string;
  report: (line: string) => void;
}

/**
 * The key ceremony of SoftHSM tokens: a token per duty, each with a PIN of its own, its keys made inside it; their public halves become
 * trust.json. Refuses to touch a token that has keys: nothing here can replace a root.
 */
export function holdCeremony({ place, libraryPath, origin, report }: CeremonyOptions): Trust {
  const trust: Trust = { format: 'claviger.trust/1', control: {}, certifiers: {}, ledger: { origin, vkey: '' } };
  for (const name of tokenNames) {
    openFresh(place, libraryPath, name, (token) => {
      if (name === 'customer') trust.certifiers['customer-certifier'] = b64u(createCustomerKeys(token).certifier);
      else if (name === 'detection') trust.certifiers['detection-certifier'] = b64u(createDetectionKeys(token).certifier);
      else if (name === 'control') {
        const { signing, certifier } = createControlKeys(token);
        trust.control['control-1'] = b64u(signing);
        trust.certifiers['control-certifier'] = b64u(certifier);
      } else {
        const { checkpoint, certifier } = createLedgerKeys(token);
        trust.ledger.vkey = encodeVerifierKey(origin, rawEd25519PublicKey(checkpoint));
        trust.certifiers['ledger-certifier'] = b64u(certifier);
      }
    });
    report(`token ${name}: initialised, its keys made inside it`);
  }
  writeFileSync(place.begunFile, `${JSON.stringify(trust, null, 2)}\n`);
  renameSync(place.begunFile, place.trustFile);
  report(`public keys written to ${place.trustFile}`);
  return trust;
}

function openFresh(place: CeremonyOptions['place'], libraryPath: string, name: TokenName, use: (token: Token) => void): void {
  mkdirSync(place.tokenFolder(name), { recursive: true, mode: 0o700 });
  mkdirSync(dirname(place.pinFile(name)), { recursive: true, mode: 0o700 });
  writeFileSync(
    place.softhsmConf(name),
    `directories.tokendir = ${place.tokenFolder(name)}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n`,
  );
  const [pin, soPin] = [newPin(), newPin()];
  writeSecret(place.pinFile(name), pin);
  writeSecret(place.soPinFile(name), soPin);
  // SoftHSM reads its configuration whenever the library is initialised, which the last token's closing makes possible again.
  process.env.SOFTHSM2_CONF = place.softhsmConf(name);
  initToken(libraryPath, { label: name, soPin, pin });
  const token = Token.open({ libraryPath, tokenLabel: name, pin });
  try {
    use(token);
  } finally {
    token.close();
  }
}

/** 144 random bits. */
export const newPin = () => randomBytes(18).toString('base64url');
const b64u = (bytes: Buffer) => bytes.toString('base64url');
