import { claviger } from '@claviger/authz';
import { ProblemError, policyOperations, type Request, type Result } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { RecordedReply, SystemReplies } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { Registries } from './registries';
import { Revocation } from './revocation';
import { Sessions } from './sessions';
import { TokenIssuer } from './token-issuer';

const { issueToken: issue, revokeSession: revoke, listSessions: list } = policyOperations;
/** About 350 bytes each: together they stay under the largest message. */
const listedMax = 2_800;

/** `access.*`: tokens and sessions. */
@Controller()
export class AccessController {
  constructor(
    private readonly recorded: RecordedReply,
    private readonly replies: SystemReplies,
    private readonly tokens: TokenIssuer,
    private readonly registries: Registries,
    private readonly sessions: Sessions,
    private readonly revocation: Revocation,
  ) {}

  @MessagePattern(issue.name)
  issueToken(@Payload() request: Request<typeof issue>, @Ctx() context: RequestContext): Promise<Answer> {
    const { principal = context.principal, lifetimeSeconds, audience } = request;
    const own = principal === context.principal;
    return this.recorded.answer(issue, context, {}, ({ session, admit, admitAnyone }) => {
      if (own) admitAnyone();
      else admit('access:IssueToken', claviger);
      if (audience !== undefined) {
        if (!own) throw new ProblemError('ERR_ACCESS_DENIED', 'Nobody tells another audience who somebody else is: leave `principal` out.');
        const { token, tokenId, expiresAt } = this.tokens.identify(session, audience, lifetimeSeconds);
        return { result: { principal, token, expiresAt }, record: { reason: `token ${tokenId} for ${principal}, audience ${audience}` } };
      }
      this.mayHoldToken(principal, own);
      const { token, tokenId, expiresAt } = own
        ? this.tokens.renew(session, lifetimeSeconds)
        : this.tokens.vouch(principal, lifetimeSeconds);
      const result: Result<typeof issue> = { principal, token, expiresAt };
      return { result, record: { reason: `token ${tokenId} for ${principal}` } };
    });
  }

  @MessagePattern(revoke.name)
  revokeSession(@Payload() request: Request<typeof revoke>, @Ctx() context: RequestContext): Promise<Answer> {
    const work = async () => {
      const session = await this.sessions.find(request.session);
      if (!session) throw new ProblemError('ERR_NOT_FOUND', 'There is no such session; it may have ended.');
      await this.revocation.revokeLogin(session, { by: context.principal, reason: request.reason, asker: context.session });
      return { session: session.session, revoked: true as const };
    };
    return this.replies.answer(revoke, context, work, { reason: `session ${request.session}: ${request.reason}` });
  }

  @MessagePattern(list.name)
  listSessions(@Payload() request: Request<typeof list>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(list, context, () => {
      const found = this.sessions.unexpired().filter(({ principal }) => !request.principal || principal === request.principal);
      return { sessions: found.slice(0, listedMax).map(listed) };
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
const listed = ({ session, principal, method, mfa, acr, state, authTime, chain, issuedAt, expiresAt }: Listed): Listed => ({
  session,
  principal,
  method,
  mfa,
  ...(acr === undefined ? {} : { acr }),
  state,
  authTime,
  chain,
  issuedAt,
  expiresAt,
});
