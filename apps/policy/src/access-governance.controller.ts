import { claviger, Evaluator, type ServiceAccount, serviceAccounts, unownedServices } from '@claviger/authz';
import { accessOperations, ProblemError, type Request, type Result } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { RecordedReply, SystemReplies } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { Registries } from './registries';
import { Revocation } from './revocation';
import { TokenKeyKeeper } from './token-key-keeper';

const { jwks, rotateSigningKey: rotate, revokeSessions: revoke, listServiceAccounts: list } = accessOperations;

/** About 300 bytes each, and longer ones with many roles: together they stay under the largest message. */
const listedMax = 1_000;

/** `access.*`: what governs who gets in: the keys that sign tokens, all sessions of a principal, service accounts and their owners. */
@Controller()
export class AccessGovernanceController {
  constructor(
    private readonly recorded: RecordedReply,
    private readonly replies: SystemReplies,
    private readonly tokenKeys: TokenKeyKeeper,
    private readonly registries: Registries,
    private readonly revocation: Revocation,
    private readonly evaluator: Evaluator,
  ) {}

  @MessagePattern(jwks.name)
  jwks(@Payload() _request: Request<typeof jwks>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(jwks, context, () => this.tokenKeys.jwks());
  }

  @MessagePattern(rotate.name)
  rotate(@Payload() { reason, compromised }: Request<typeof rotate>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.answer(rotate, context, { reason }, async ({ admit }) => {
      admit('access:RotateSigningKey', claviger);
      // What leaked counts no more before anything else is tried, which may fail.
      const withdrawn = compromised ? await this.tokenKeys.withdraw() : [];
      const sessionsEnded = compromised ? await this.revocation.revokeTokens({ by: context.principal, reason, asker: context.session }) : 0;
      const made = compromised ? await this.tokenKeys.replace(withdrawn) : await this.tokenKeys.rotate();
      const result: Result<typeof rotate> = { kid: made.kid, activeFrom: made.activeFrom, withdrawn, sessionsEnded };
      const what = `key ${made.kid} signs tokens from ${made.activeFrom}${withdrawn.length > 0 ? `; withdrawn: ${withdrawn.join(', ')}` : ''}`;
      return { result, record: { reason: `${reason}: ${what}` } };
    });
  }

  @MessagePattern(revoke.name)
  revokeSessions(@Payload() { principal, reason }: Request<typeof revoke>, @Ctx() context: RequestContext): Promise<Answer> {
    const work = async () => {
      if (!this.registries.current?.knows(principal)) throw new ProblemError('ERR_NOT_FOUND', 'There is no such principal.');
      return {
        principal,
        sessions: await this.revocation.revokePrincipal(principal, { by: context.principal, reason, asker: context.session }),
      };
    };
    return this.replies.answer(revoke, context, work, { reason: `all sessions of ${principal}: ${reason}` });
  }

  @MessagePattern(list.name)
  listServiceAccounts(@Payload() { owner, unowned }: Request<typeof list>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(list, context, () => {
      const { current } = this.evaluator;
      if (!current) throw new ProblemError('ERR_STATE_STALE');
      const found = unowned ? unownedServices(current.bundle) : serviceAccounts(current.bundle);
      const asked = found.filter(({ principal }) => owner === undefined || principal.owner === owner);
      return { serviceAccounts: asked.slice(0, listedMax).map(shown), ...(asked.length > listedMax ? { more: true as const } : {}) };
    });
  }
}

const shown = ({
  principal: { id, displayName, owner, contact, disabled, roles, identities },
  ownership,
}: ServiceAccount): Result<typeof list>['serviceAccounts'][number] => ({
  principal: id,
  ...(displayName === undefined ? {} : { displayName }),
  ...(owner === undefined ? {} : { owner }),
  ...(contact === undefined ? {} : { contact }),
  disabled,
  roles,
  identities: identities.map(({ kind }) => kind),
  ownership,
});
