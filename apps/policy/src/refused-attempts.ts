import { randomBytes } from 'node:crypto';
import { sessionPattern } from '@claviger/contracts';
import type { AuditTrail } from '@claviger/messaging';
import { Fold, FoldedRecords } from '@claviger/service';
import type { LoggerService } from '@nestjs/common';
import type { ConnectionRequest } from './callout-wire';
import { commitIp } from './ip-commitment';
import type { PersonalValues } from './personal-values';
import type { RefusalReason, Refused } from './refusal';
import { refusalReasons } from './refusal';

interface Attempt {
  readonly reason: RefusalReason;
  readonly ip?: string;
  readonly principal?: string;
  /** Of the first of them; only when it is a session id, for a name is the client's own text. */
  readonly session: string;
}

/** Records refused connections, one record per second for all with the same reason, address and proven principal. */
export class RefusedAttempts {
  private readonly records: FoldedRecords<Attempt>;

  constructor(
    trail: Pick<AuditTrail, 'append' | 'commit'>,
    private readonly personal: Pick<PersonalValues, 'keep'>,
    logger: LoggerService,
  ) {
    const fold = new Fold<Attempt>(
      ({ reason, ip, principal }) => JSON.stringify([reason, ip, principal]),
      ({ reason }) => ({ reason, session: '' }),
    );
    const record = (attempt: Attempt, count: number) => this.record(attempt, count);
    this.records = new FoldedRecords({ fold, record, trail, logger, what: 'callout: refused attempts' });
  }

  start(everyMs?: number): void {
    this.records.start(everyMs);
  }

  add({ reason, principal }: Refused, { connect_opts, client_info }: ConnectionRequest): void {
    const name = connect_opts.name ?? '';
    this.records.add({ reason, principal, ip: client_info.host, session: sessionPattern.test(name) ? name : '' });
  }

  stop(): Promise<void> {
    return this.records.stop();
  }

  private record({ reason, ip, principal, session }: Attempt, count: number) {
    const commitment = ip === undefined ? undefined : commitIp(ip, randomBytes(16), session);
    if (commitment) this.personal.keep(commitment);
    return {
      kind: 'session',
      event: 'refused',
      session,
      ...(principal ? { principal } : {}),
      ...(commitment ? { ip: commitment.commitment } : {}),
      code: reason,
      detail: refusalReasons[reason],
      count,
    };
  }
}
