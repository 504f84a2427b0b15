import { generateKeyPairSync, sign } from 'node:crypto';
import { auditSubject } from '@claviger/contracts';
import { encodeEpochRecord, epochCertificateText, finishBatch, genesisPrev, sealBatch } from '@claviger/ledger';
import type { StreamMessage } from '../src/stream-message';

const newP256 = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
type Pair = ReturnType<typeof newP256>;
const spki = (pair: Pair): Buffer => pair.publicKey.export({ format: 'der', type: 'spki' });
const es256 = (bytes: Buffer, pair: Pair): Buffer => sign('sha256', bytes, { key: pair.privateKey, dsaEncoding: 'ieee-p1363' });

/** Token keys, by the names that `writers.ts` knows. */
export const certifierPairs: Readonly<Record<string, Pair>> = {
  'customer-certifier': newP256(),
  'control-certifier': newP256(),
  'ledger-certifier': newP256(),
};
/** As in `trust.json`. */
export const certifiers = Object.fromEntries(Object.entries(certifierPairs).map(([kid, pair]) => [kid, spki(pair).toString('base64url')]));

export const startTime = Date.parse('2026-01-02T03:04:05.678Z');
export const timeAt = (ms: number): string => new Date(startTime + ms).toISOString();

let ids = 0;
export const record = (more: Record<string, unknown> = {}): string =>
  JSON.stringify({
    kind: 'operation',
    id: `r.${ids++}`,
    time: timeAt(ids),
    service: 'crypto-worker',
    action: 'crypto:Encrypt',
    principal: 'payments-api',
    session: 's'.repeat(22),
    keyId: `k_${'A'.repeat(22)}`,
    outcome: 'success',
    revisions: {},
    ...more,
  });

export interface WorkerOptions {
  service?: string;
  worker?: string;
  epoch?: string;
  certifier?: string;
  /** Signs the certificate instead of the certifier's own key. */
  certifiedBy?: Pair;
}

/** A writer with real keys that seals batches as the group commit does. */
export function newWorker({
  service = 'crypto-worker',
  worker = 'w1',
  epoch = `e${ids++}`,
  certifier = 'customer-certifier',
  certifiedBy,
}: WorkerOptions = {}) {
  const chain = { service, worker, epoch };
  const key = newP256();
  const claims = { ...chain, publicKey: spki(key) };
  const pair = certifiedBy ?? certifierPairs[certifier] ?? newP256();
  const epochLine = encodeEpochRecord({ ...claims, time: timeAt(0), certifier, certificate: es256(epochCertificateText(claims), pair) });
  let seq = 0;
  let prev: Buffer = genesisPrev();
  const seal = (lines: readonly string[], at: { seq: number; prev: Buffer }) => {
    const sealed = sealBatch({ ...chain, ...at }, lines);
    return { bytes: finishBatch(sealed, es256(Buffer.from(sealed.sealText), key)), batchHash: sealed.batchHash };
  };
  return {
    chain,
    epochLine,
    subject: auditSubject(service, worker),
    seal,
    /** Where the next batch goes: for batches that are wrong in one way. */
    place: () => ({ seq, prev }),
    next(lines: readonly string[]): Buffer {
      const { bytes, batchHash } = seal(seq === 0 ? [epochLine, ...lines] : lines, { seq, prev });
      seq += 1;
      prev = batchHash;
      return bytes;
    },
  };
}

/** Messages of a stream that begins at `first`. */
export function streamOf(messages: readonly { subject: string; data: Uint8Array }[], first = 1): StreamMessage[] {
  return messages.map(({ subject, data }, n) => ({ seq: first + n, subject, data, time: timeAt(1_000_000 + n) }));
}
