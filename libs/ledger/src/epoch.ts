import { type KeyObject } from 'node:crypto';
import { type ChainId, isChainId, isSameChain, NAME } from './chain-id';
import { fromBase64Url } from './encoding';
import { LedgerError } from './errors';
import { ES256_SIGNATURE_BYTES, P256_SPKI_BYTES, verifyEs256 } from './public-key';

/** What a token key certifies: batches of this chain are signed with this P-256 key (SPKI, 91 bytes). */
export type EpochClaims = ChainId & { readonly publicKey: Buffer };
/** First record of a chain. `time` is RFC 3339 UTC with milliseconds, `certifier` names the certifying key, `certificate` is its ES256 signature. */
export type EpochRecord = EpochClaims & { readonly time: string; readonly certifier: string; readonly certificate: Buffer };
export type EpochFinding =
  | { readonly finding: 'epoch-of-another-chain'; readonly service: string; readonly worker: string; readonly epoch: string }
  | { readonly finding: 'unknown-certifier'; readonly certifier: string }
  | { readonly finding: 'bad-certificate'; readonly certifier: string };

const MAX_EPOCH_BYTES = 1_024;
const CERTIFIER = '[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}';
const TIME = '\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z';
const EPOCH_START = '{"kind":"epoch",';
const EPOCH = new RegExp(
  `^\\{"kind":"epoch","service":"(${NAME})","worker":"(${NAME})","epoch":"(${NAME})","time":"(${TIME})","publicKey":"([\\w-]{122})",` +
    `"certifier":"(${CERTIFIER})","certificate":"([\\w-]{86})"\\}$`,
);
const EXACT = { certifier: new RegExp(`^${CERTIFIER}$`), time: new RegExp(`^${TIME}$`) };

/**
 * The text that the certifier signs (ES256). Its first line keeps it apart from everything else that key may sign; names hold no newline.
 * `claviger.epoch/1\n<service>\n<worker>\n<epoch>\n<SPKI as base64url>`, without a last newline.
 */
export function epochCertificateText(claims: EpochClaims): Buffer {
  if (!isChainId(claims)) throw new LedgerError('ERR_EPOCH_FORMAT', 'Not a service, worker and epoch name');
  if (claims.publicKey.length !== P256_SPKI_BYTES)
    throw new LedgerError('ERR_PUBLIC_KEY', `A P-256 key of ${claims.publicKey.length} bytes`);
  return Buffer.from(['claviger.epoch/1', claims.service, claims.worker, claims.epoch, claims.publicKey.toString('base64url')].join('\n'));
}

/** The record line. Throws `ERR_EPOCH_FORMAT`, `ERR_PUBLIC_KEY`. */
export function encodeEpochRecord(record: EpochRecord): string {
  epochCertificateText(record);
  const { service, worker, epoch, time, publicKey, certifier, certificate } = record;
  if (!EXACT.time.test(time) || !EXACT.certifier.test(certifier) || certificate.length !== ES256_SIGNATURE_BYTES) {
    throw new LedgerError('ERR_EPOCH_FORMAT', 'Not a time, certifier or certificate');
  }
  return (
    `{"kind":"epoch","service":"${service}","worker":"${worker}","epoch":"${epoch}","time":"${time}","publicKey":"${publicKey.toString('base64url')}",` +
    `"certifier":"${certifier}","certificate":"${certificate.toString('base64url')}"}`
  );
}

export const isEpochLine = (line: Buffer): boolean => line.subarray(0, EPOCH_START.length).toString('latin1') === EPOCH_START;

/** The inverse, exact: one spelling only. Throws `ERR_EPOCH_FORMAT`. */
export function parseEpochRecord(line: Buffer): EpochRecord {
  const text = line.length <= MAX_EPOCH_BYTES ? line.toString('latin1') : '';
  const [, service, worker, epoch, time, publicKeyText, certifier, certificateText] = EPOCH.exec(text) ?? [];
  if (certificateText === undefined) throw new LedgerError('ERR_EPOCH_FORMAT', 'Not an epoch record');
  const publicKey = fromBase64Url(publicKeyText!);
  const certificate = fromBase64Url(certificateText);
  if (publicKey === undefined || certificate === undefined)
    throw new LedgerError('ERR_EPOCH_FORMAT', 'A value is not in its canonical spelling');
  return { service: service!, worker: worker!, epoch: epoch!, time: time!, publicKey, certifier: certifier!, certificate };
}

/** What is wrong with the certificate of the chain that a batch's seal names; nothing found: its `publicKey` may verify that chain. */
export function verifyEpoch(record: EpochRecord, chain: ChainId, certifiers: ReadonlyMap<string, KeyObject>): EpochFinding[] {
  const { service, worker, epoch, certifier } = record;
  if (!isSameChain(record, chain)) return [{ finding: 'epoch-of-another-chain', service, worker, epoch }];
  const key = certifiers.get(certifier);
  if (key === undefined) return [{ finding: 'unknown-certifier', certifier }];
  return verifyEs256(epochCertificateText(record), key, record.certificate) ? [] : [{ finding: 'bad-certificate', certifier }];
}
