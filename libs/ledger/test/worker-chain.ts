import { generateKeyPairSync, sign } from 'node:crypto';
import { encodeEpochRecord, epochCertificateText, finishBatch, genesisPrev, sealBatch } from '../src/index';

const es256 = (bytes: Buffer, key: ReturnType<typeof newP256>['privateKey']) => sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' });
export const newP256 = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
export const spki = (pair: ReturnType<typeof newP256>) => pair.publicKey.export({ format: 'der', type: 'spki' });

export const certifier = newP256();
export const chain = { service: 'crypto-worker', worker: 'w1', epoch: 'e1' };

/** A worker with real keys that seals batches as the group commit does; `epochLine` certifies its key. */
export function newWorker() {
  const key = newP256();
  const claims = { ...chain, publicKey: spki(key) };
  const certificate = es256(epochCertificateText(claims), certifier.privateKey);
  const epochLine = encodeEpochRecord({ ...claims, time: '2026-01-02T03:04:05.678Z', certifier: 'certifier-1', certificate });
  let seq = 0;
  let prev = genesisPrev();
  const seal = (lines: string[], at = { seq, prev }) => {
    const sealed = sealBatch({ ...chain, ...at }, lines);
    // The seal is signed as text here; an HSM signs `toSign`, its digest.
    const message = finishBatch(sealed, es256(Buffer.from(sealed.sealText), key.privateKey));
    return { message, batchHash: sealed.batchHash };
  };
  return {
    key,
    publicKey: key.publicKey,
    epochLine,
    seal,
    next(lines: string[]) {
      const sealed = seal(lines);
      seq += 1;
      prev = sealed.batchHash;
      return sealed;
    },
  };
}
