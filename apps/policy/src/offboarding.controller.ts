import { claviger, offboarded, pathText, rolesGiven, shortAfter } from '@claviger/authz';
import { accessLifecycleOperations, type PolicyBundle, ProblemError, type Request, type Result } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { RecordedReply } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { assertGuarded } from './assert-guarded';
import { BundleKeeper } from './bundle-keeper';
import { Revocation } from './revocation';
import { Sessions } from './sessions';

const { offboard } = accessLifecycleOperations;

/** `access.offboard`: somebody leaves. */
@Controller()
export class OffboardingController {
  constructor(
    private readonly recorded: RecordedReply,
    private readonly bundles: BundleKeeper,
    private readonly sessions: Sessions,
    private readonly revocation: Revocation,
  ) {}

  @MessagePattern(offboard.name)
  offboard(@Payload() request: Request<typeof offboard>, @Ctx() context: RequestContext): Promise<Answer> {
    const { principal, to } = request;
    return this.recorded.answer(
      offboard,
      context,
      { reason: `${principal} leaves: ${request.reason}` },
      async ({ admit, admitWith, intend }) => {
        admit('access:Offboard', claviger);
        if (principal === context.principal) throw new ProblemError('ERR_ACCESS_DENIED', 'Somebody else must do this for you.');
        let left: ReturnType<typeof offboarded> | undefined;
        let revision = 0;
        const leave = (bundle: PolicyBundle): PolicyBundle | undefined => {
          assertHeir(bundle, principal, to);
          revision = bundle.revision;
          left = offboarded(bundle, principal, to);
          const [short] = left.bundle ? shortAfter(bundle, left.bundle, bundle.staleness?.keep) : [];
          if (short)
            throw new ProblemError(
              'ERR_LAST_HOLDER',
              `${short.left} people would be left with the role ${short.role}, and ${short.atLeast} must be`,
            );
          return left.bundle;
        };
        const said = () => `${principal} leaves: ${request.reason}; ${summary(left!.taken)}`.slice(0, 2_000);
        const published = await this.bundles.amend(
          leave,
          (bundle) => intend({ revision: bundle.revision, reason: said() }),
          (from, to) => assertGuarded(from, to, admitWith, 'access:Offboard of an approver'),
        );
        const { taken, handedOver, owned } = left!;
        // Also those that a publication ended already, or is ending: an answer says that none lives.
        const live = this.sessions.live().filter((session) => session.principal === principal);
        await this.revocation.end(live, `${principal} left`, context.principal);
        const result: Result<typeof offboard> = {
          principal,
          revision: published?.bundle.revision ?? revision,
          changed: published !== undefined,
          roles: taken.flatMap((assignment) => (assignment.kind === 'role' ? [assignment.role] : [])),
          groups: taken.flatMap((assignment) => (assignment.kind === 'group' ? [assignment.group] : [])),
          grants: taken.flatMap((assignment) => ('grant' in assignment ? [assignment.grant] : [])),
          sessionsEnded: live.length,
          servicesHandedOver: [...handedOver],
          servicesOwned: to === undefined ? [...owned] : [],
          at: new Date().toISOString(),
        };
        return { result, record: { reason: said() }, ...(published ? { recorded: published.recorded } : {}) };
      },
    );
  }
}

function assertHeir({ principals }: PolicyBundle, leaver: string, to: string | undefined): void {
  if (!principals.some(({ id }) => id === leaver)) throw new ProblemError('ERR_NOT_FOUND', `There is no principal ${leaver}.`);
  if (to === undefined) return;
  const heir = principals.find(({ id }) => id === to);
  if (to === leaver || !heir || heir.disabled || heir.kind !== 'person')
    throw new ProblemError('ERR_NOT_FOUND', `${to} is not another person who is registered and enabled.`);
}

const summary = (taken: ReturnType<typeof offboarded>['taken']): string =>
  taken.map((assignment) => `${rolesGiven(assignment).join(', ') || assignment.id} (${pathText(assignment)})`).join('; ') || 'held nothing';
