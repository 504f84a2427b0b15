import { claviger, Gate } from '@claviger/authz';
import { ProblemError, policyOperations, type Request, type Result } from '@claviger/contracts';
import { issueToken } from '@claviger/installation';
import type { Answer, RequestContext } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { ControlToken } from './control-token';
import { RecordedReply } from './recorded-reply';
import { Registries } from './registries';
import { Revocation } from './revocation';
import { Sessions } from './sessions';

const { issueToken: issue, revokeSession: revoke, listSessions: list } = policyOperations;
/** About 250 bytes each: together they stay under the largest message. */
const listedMax = 4_000;

/** `access.*`: tokens and sessions. */
@Controller()
export class AccessController {
  constructor(
    private readonly recorded: RecordedReply,
    private readonly gate: Gate,
    private readonly token: ControlToken,
    private readonly registries: Registries,
    private readonly sessions: Sessions,
    private readonly revocation: Revocation,
  ) {}

  @MessagePattern(issue.name)
  issueToken(@Payload() request: Request<typeof issue>, @Ctx() context: RequestContext): Promise<Answer> {
    const { principal = context.principal, lifetimeSeconds } = request;
    return this.recorded.ofAnyone(issue, context, (admission) => {
      const own = principal === context.principal;
      const decided = own ? admission : this.gate.decide(admission.session, 'access:IssueToken', claviger);
      this.mayHoldToken(principal, own);
      // Its own factors come with its own token and no more; nobody's factors say anything about somebody else.
      const amr = own && decided.session.mfa ? ['mfa'] : [];
      const { token, claims } = issueToken(this.token.signer, { principal, amr, lifetimeSeconds });
      const expiresAt = new Date(claims.exp * 1_000).toISOString();
      return { result: { principal, token, expiresAt }, decided, reason: `token ${claims.jti} for ${principal}` };
    });
  }

  @MessagePattern(revoke.name)
  revokeSession(@Payload() request: Request<typeof revoke>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.decided(revoke, context, async () => {
      const session = await this.sessions.find(request.session);
      if (!session) throw new ProblemError('ERR_NOT_FOUND', 'There is no such session; it may have ended.');
      await this.revocation.revoke(session, context.principal, request.reason);
      return { result: { session: session.session, revoked: true as const }, reason: `session ${session.session}: ${request.reason}` };
    });
  }

  @MessagePattern(list.name)
  listSessions(@Payload() request: Request<typeof list>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.decided(list, context, () => {
      const found = this.sessions.unexpired().filter(({ principal }) => !request.principal || principal === request.principal);
      return { result: { sessions: found.slice(0, listedMax).map(listed) } };
    });
  }

  private mayHoldToken(id: string, own: boolean): void {
    const principal = this.registries.current?.enabled(id);
    if (principal?.identities.some(({ kind }) => kind === 'token')) return;
    if (own) throw new ProblemError('ERR_ACCESS_DENIED', 'You are not registered for tokens.');
    throw new ProblemError('ERR_NOT_FOUND', 'There is no enabled principal of that id that is registered for tokens.');
  }
}

type Listed = Result<typeof list>['sessions'][number];
const listed = ({ session, principal, method, mfa, state, issuedAt, expiresAt }: Listed): Listed => ({
  session,
  principal,
  method,
  mfa,
  state,
  issuedAt,
  expiresAt,
});
