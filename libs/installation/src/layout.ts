import { join } from 'node:path';
import type { ServiceName } from '@claviger/messaging';

/** The tokens of an installation (DESIGN.md "Separate tokens"), and the service that opens each. */
export const tokenOf = {
  'crypto-worker': 'customer',
  'key-lifecycle': 'control',
  policy: 'control',
  audit: 'ledger',
  'anomaly-detector': 'detection',
} as const satisfies Record<ServiceName, string>;
export type TokenName = (typeof tokenOf)[ServiceName];
export const tokenNames = [...new Set(Object.values(tokenOf))] as TokenName[];

/** Where things lie in an installation's folder. Secrets are files of mode 0600; in production each is handed to the one service that needs it. */
export const layout = (folder: string) => ({
  folder,
  trustFile: join(folder, 'trust.json'),
  /** There while a ceremony goes on; it becomes trust.json. */
  begunFile: join(folder, 'trust.json.begun'),
  /** Whom backups are encrypted to; public. */
  recoveryGroupFile: join(folder, 'recovery-group.json'),
  /** A folder for each key ceremony, with its transcript. */
  ceremonies: join(folder, 'ceremonies'),
  tokens: join(folder, 'tokens'),
  pins: join(folder, 'pins'),
  identitiesFile: join(folder, 'broker-identities.json'),
  nkeyFile: (user: string) => join(folder, 'nkeys', `${user}.nk`),
  furtherTokensFile: join(folder, 'further-tokens.json'),
  pinFile: (token: string) => join(folder, 'pins', `${token}.pin`),
  /** There until the token has this PIN; it becomes pinFile. */
  begunPinFile: (token: string) => join(folder, 'pins', `${token}.pin.begun`),
  soPinFile: (token: string) => join(folder, 'pins', `${token}.so-pin`),
  softhsmConf: (token: TokenName) => join(folder, 'tokens', token, 'softhsm2.conf'),
  tokenFolder: (token: TokenName) => join(folder, 'tokens', token, 'objects'),
  kryopticConf: join(folder, 'tokens', 'kryoptic.conf'),
  kryopticStore: (token: string) => join(folder, 'tokens', token, 'objects.sql'),
});
