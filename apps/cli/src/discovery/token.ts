import { algorithms } from '@claviger/contracts';
import { readPin, Token, type TokenObject, tokenContents, typeNameOf } from '@claviger/hsm';
import type { DiscoveredKey } from './discovered';
import { spkiDigest, strengthOfModulus } from './key-algorithm';

/** Key objects of another PKCS#11 token. Secret keys and private halves; public objects only where their private half is not there. */
export function keysInToken({ library, label, pinFile }: { library: string; label: string; pinFile: string }): DiscoveredKey[] {
  const token = Token.open({ libraryPath: library, tokenLabel: label, pin: readPin(pinFile) });
  try {
    return discoveredIn(label, tokenContents(token));
  } finally {
    token.close();
  }
}

export function discoveredIn(tokenLabel: string, objects: readonly TokenObject[]): DiscoveredKey[] {
  const halves = new Set(
    objects.flatMap((one) => (one.class === 'private' && one.publicKeySpki ? [one.publicKeySpki.toString('hex')] : [])),
  );
  const shown = objects.filter((one) => one.class !== 'public' || !one.publicKeySpki || !halves.has(one.publicKeySpki.toString('hex')));
  return shown.map((one) => ({
    place: `${tokenLabel}: ${one.label}`,
    kind: one.class,
    algorithm: typeNameOf(one),
    strengthBits: strengthOf(one),
    protection: one.class === 'public' ? 'not needed' : 'token',
    ...(one.publicKeySpki ? { publicKeySha256: spkiDigest(one.publicKeySpki) } : {}),
    drift: one.class === 'public' ? [] : driftOf(one),
  }));
}

function strengthOf({ algorithm, class: kind, keyBits = 0, keyType }: TokenObject): number {
  if (algorithm) return algorithms[algorithm].strengthBits;
  if (keyType === 0) return strengthOfModulus(keyBits);
  // A secret of an unusual length: CKK_GENERIC_SECRET, CKK_AES.
  return kind === 'secret' && (keyType === 0x10 || keyType === 0x1f) ? Math.min(keyBits, 512) : 0;
}

/** PKCS#11 v3.1 §4.9: what makes a key leave its token, or says that it came from outside. */
function driftOf({ attributes: a }: TokenObject): DiscoveredKey['drift'] {
  const next = 'make it anew in Claviger, where keys leave their token only wrapped';
  return [
    ...(a.CKA_SENSITIVE === false ? [{ why: 'its value can be read in clear (CKA_SENSITIVE is false)', next }] : []),
    ...(a.CKA_EXTRACTABLE === true ? [{ why: 'it can be wrapped out of the token (CKA_EXTRACTABLE)', next }] : []),
    ...(a.CKA_LOCAL === false ? [{ why: 'it was not made in the token (CKA_LOCAL is false): copies may exist', next }] : []),
    ...(a.CKA_WRAP === true && a.CKA_DECRYPT === true
      ? [{ why: 'it wraps and decrypts: any extractable key can be wrapped with it and then decrypted', next }]
      : []),
  ];
}
