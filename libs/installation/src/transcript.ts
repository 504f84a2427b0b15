import { createHash } from 'node:crypto';
import { CeremonyTranscript, transcriptCharsMost, transcriptType } from '@claviger/contracts';
import { importTrustedKeys, RecordSignatureError, type RecordSigner, signRecord, verifyRecord } from '@claviger/messaging';
import canonicalize from 'canonicalize';

export interface ReadTranscript {
  readonly transcript: CeremonyTranscript;
  /** SHA-256 of its canonical form, base64url: what the ledger records. */
  readonly digest: string;
}

/** RFC 8785: one spelling for each transcript. */
export const canonicalTranscript = (transcript: CeremonyTranscript): string => canonicalize(transcript) as string;

export const transcriptDigest = (transcript: CeremonyTranscript): string =>
  createHash('sha256').update(canonicalTranscript(transcript)).digest('base64url');

/** Compact JWS whose payload is the canonical transcript, byte for byte. */
export const signTranscript = (transcript: CeremonyTranscript, signer: RecordSigner): string =>
  signRecord(transcriptType, JSON.parse(canonicalTranscript(transcript)), signer);

/** Signed by one of these control keys (as in trust.json), of the form, and canonical. @throws RecordSignatureError */
export function readTranscript(jws: string, control: Record<string, string>): ReadTranscript {
  if (jws.length > transcriptCharsMost) throw new RecordSignatureError('longer than a transcript');
  const payload = verifyRecord(transcriptType, jws, importTrustedKeys(control));
  const parsed = CeremonyTranscript.safeParse(payload);
  if (!parsed.success) throw new RecordSignatureError('not the transcript of a ceremony');
  if (Buffer.from(jws.split('.')[1]!, 'base64url').toString() !== canonicalTranscript(parsed.data))
    throw new RecordSignatureError('not in canonical form');
  return { transcript: parsed.data, digest: transcriptDigest(parsed.data) };
}
