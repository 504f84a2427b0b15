import { randomBytes } from 'node:crypto';
import { sessionPattern } from '@claviger/contracts';
import type { AuditTrail } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';
import type { ConnectionRequest } from './callout-wire';
import { Fold } from './fold';
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
  private readonly fold = new Fold<Attempt>(
    ({ reason, ip, principal }) => JSON.stringify([reason, ip, principal]),
    ({ reason }) => ({ reason, session: '' }),
  );
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly trail: Pick<AuditTrail, 'append'>,
    private readonly personal: Pick<PersonalValues, 'keep'>,
    private readonly logger: LoggerService,
  ) {}

  start(everyMs = 1_000): void {
    this.timer = setInterval(() => void this.flush(), everyMs);
  }

  add({ reason, principal }: Refused, { connect_opts, client_info }: ConnectionRequest): void {
    const name = connect_opts.name ?? '';
    this.fold.add({ reason, principal, ip: client_info.host, session: sessionPattern.test(name) ? name : '' });
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.flush();
  }

  private async flush(): Promise<void> {
    const recorded = this.fold.take().map(({ event: { reason, ip, principal, session }, count }) => {
      const commitment = ip === undefined ? undefined : commitIp(ip, randomBytes(16), session);
      if (commitment) this.personal.keep(commitment);
      return this.trail.append({
        kind: 'session',
        event: 'refused',
        session,
        ...(principal ? { principal } : {}),
        ...(commitment ? { ip: commitment.commitment } : {}),
        code: reason,
        detail: refusalReasons[reason],
        count,
      });
    });
    for (const outcome of await Promise.allSettled(recorded))
      if (outcome.status === 'rejected')
        this.logger.error(`callout: refused attempts were not recorded in time: ${String(outcome.reason)}`);
  }
}
