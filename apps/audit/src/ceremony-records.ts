import { ProblemError, type Trust } from '@claviger/contracts';
import { type ReadTranscript, readTranscript } from '@claviger/installation';
import { type AuditTrail, RecordSignatureError, type RequestContext } from '@claviger/messaging';

/** What key ceremonies did, by the digests of their transcripts, in this service's own chain. */
export class CeremonyRecords {
  constructor(
    private readonly trail: AuditTrail,
    private readonly trust: Trust,
  ) {}

  /**
   * Resolves when the record is durable. Doing it twice writes it twice, under one id.
   * @throws ProblemError ERR_MALFORMED_REQUEST: not a transcript that a control key of this installation signed, or of another ledger
   */
  async record(jws: string, context: RequestContext): Promise<{ digest: string; groupId: string }> {
    const { transcript, digest } = this.read(jws);
    const { ceremony, completedAt } = transcript;
    const { groupId } = transcript.recoveryGroup;
    const { principal, session, trace } = this.trail.who(context);
    const by = { principal, session, ...(trace ? { trace } : {}) };
    await this.trail.append({ kind: 'ceremony', digest, ceremony, completedAt, groupId, ...by }, `ceremony.${digest}`);
    return { digest, groupId };
  }

  private read(jws: string): ReadTranscript {
    try {
      const read = readTranscript(jws, this.trust.control);
      if (read.transcript.trust.ledger.vkey !== this.trust.ledger.vkey)
        throw new ProblemError('ERR_MALFORMED_REQUEST', 'The transcript is of an installation with another ledger.');
      return read;
    } catch (error) {
      if (!(error instanceof RecordSignatureError)) throw error;
      throw new ProblemError(
        'ERR_MALFORMED_REQUEST',
        'This is not the transcript of a ceremony, signed by a control key of this installation.',
        {
          cause: error,
        },
      );
    }
  }
}
