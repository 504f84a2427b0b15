import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { initToken, openEpoch, Token, trustedSigner } from '@claviger/hsm';
import type { RecordSigner, TrailKeys } from '../src/index';

export interface TestSigner extends RecordSigner {
  trusted: ReadonlyMap<string, KeyObject>;
}

/** An ES256 key of a test where an owner has one in its token. */
export function testSigner(kid = 'control-of-test'): TestSigner {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    kid,
    trusted: new Map([[kid, publicKey]]),
    sign: (input) => sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' }),
  };
}

/** Epochs of a real token whose batch keys can be lost, as they are when a token loses its sessions. */
export function tokenEpochs(): { openEpoch: () => TrailKeys; certifier: string; loseBatchKey: () => void; close: () => void } {
  const libraryPath = process.env.CLAVIGER_TEST_PKCS11 as string;
  const tokenLabel = `t-${randomBytes(8).toString('hex')}`;
  const pin = randomBytes(8).toString('hex');
  initToken(libraryPath, { label: tokenLabel, soPin: randomBytes(8).toString('hex'), pin });
  const token = Token.open({ libraryPath, tokenLabel, pin });
  token.createCanary();
  const certifier = token.generateTokenKeyPair('certifier', 'EC_P256').toString('base64url');
  const signer = trustedSigner(token, 'certifier', { 'certifier-of-test': certifier });
  let lost: TrailKeys | undefined;
  let current: TrailKeys | undefined;
  return {
    certifier,
    close: () => token.close(),
    loseBatchKey: () => {
      lost = current;
    },
    openEpoch: () => {
      const keys = openEpoch(token, signer);
      const opened: TrailKeys = {
        ...keys,
        signBatch: (digest) => {
          if (lost === opened) throw new Error('the token lost its sessions');
          return keys.signBatch(digest);
        },
      };
      current = opened;
      return opened;
    },
  };
}
