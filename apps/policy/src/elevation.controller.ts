import { claviger, decideElevation, Evaluator, wantedText, whyNot, withoutGrant } from '@claviger/authz';
import {
  type ChangeState,
  elevationOperations,
  type Grant,
  type PolicyBundle,
  ProblemError,
  type Request,
  type Result,
} from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { RecordedReply } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { endedEvent } from './access-events';
import { assertGuarded } from './assert-guarded';
import { BundleKeeper } from './bundle-keeper';
import { type Change, describeChange } from './change';
import { ChangeKeeper } from './change-keeper';
import { Granting } from './granting';
import { KeyFacts } from './key-facts';

const { request, requests, listGrants, revokeGrant, breakGlass } = elevationOperations;
const elevating: ReadonlySet<string> = new Set([request.name, breakGlass.name]);

/** `access.*`: what is granted for a time, because somebody asked for it and others approved. */
@Controller()
export class ElevationController {
  constructor(
    private readonly recorded: RecordedReply,
    private readonly bundles: BundleKeeper,
    private readonly changes: ChangeKeeper,
    private readonly evaluator: Evaluator,
    private readonly granting: Granting,
    private readonly keys: KeyFacts,
  ) {}

  @MessagePattern(request.name)
  request(@Payload() asked: Request<typeof request>, @Ctx() context: RequestContext): Promise<Answer> {
    const { reason, ...wanted } = asked;
    const { key, minutes } = wanted;
    const about = { reason: `${wantedText(wanted)} for ${minutes} min: ${reason}`, ...(key === undefined ? {} : { keyId: key }) };
    return this.recorded.answer(request, context, about, async (asker) => {
      asker.admit('access:Request', claviger);
      const known = key === undefined || wanted.role !== undefined ? undefined : await this.keys.read(key);
      const requester = this.granting.requester(context, asker);
      const decide = (bundle: PolicyBundle) => decideElevation(bundle, wanted, requester, known);
      return this.granting.grant({ operation: request, by: 'request', wanted, reason, decide }, context, asker);
    });
  }

  @MessagePattern(requests.name)
  requests(@Payload() { state, before, limit }: Request<typeof requests>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.answer(requests, context, {}, async ({ allows, admit, admitAnyone }) => {
      const all = allows('access:ReadGrants', claviger);
      if (all) admit('access:ReadGrants', claviger);
      else admitAnyone();
      // As it is in the store: one that expired may not have been looked at yet.
      const stored: ChangeState[] | undefined = state === 'expired' ? ['expired', 'requested', 'approved'] : state && [state];
      const found = await this.changes.find({ limit, ...(stored ? { state: stored } : {}), ...(before === undefined ? {} : { before }) });
      const shown = found
        .filter((change) => elevating.has(change.operation) && (all || this.concerns(change, context.principal)))
        .map(requestOf)
        .filter((one) => state === undefined || one.state === state);
      return { result: { requests: shown, ...(found.length < limit ? {} : { next: found.at(-1)?.requestedAt }) } };
    });
  }

  @MessagePattern(listGrants.name)
  listGrants(@Payload() { principal, limit, after }: Request<typeof listGrants>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.answer(listGrants, context, {}, ({ allows, admit, admitAnyone }) => {
      const { current } = this.evaluator;
      if (!current) throw new ProblemError('ERR_STATE_STALE');
      const all = principal !== context.principal && allows('access:ReadGrants', claviger);
      if (all) admit('access:ReadGrants', claviger);
      else admitAnyone();
      const of = all ? principal : context.principal;
      const nowMs = Date.now();
      const found = current.bundle.grants
        .filter(
          (grant) => (of === undefined || grant.principal === of) && !isOver(grant, nowMs) && (after === undefined || grant.id > after),
        )
        .sort((a, b) => (a.id < b.id ? -1 : 1));
      const grants = found.slice(0, limit);
      const result: Result<typeof listGrants> = {
        ...{ grants, revision: current.bundle.revision },
        ...(found.length > limit ? { next: grants.at(-1)?.id } : {}),
      };
      return { result };
    });
  }

  @MessagePattern(revokeGrant.name)
  revokeGrant(@Payload() { grant: id, reason }: Request<typeof revokeGrant>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.answer(revokeGrant, context, { reason: `${id}: ${reason}` }, async ({ admit, admitAnyone, admitWith, intend }) => {
      const held = this.evaluator.current?.bundle.grants.find((grant) => grant.id === id);
      if (held?.principal === context.principal) admitAnyone();
      else admit('access:RevokeGrant', claviger);
      let ended: Grant | undefined;
      let revision = 0;
      const end = (bundle: PolicyBundle): PolicyBundle | undefined => {
        revision = bundle.revision;
        ended = bundle.grants.find((grant) => grant.id === id);
        return withoutGrant(bundle, id);
      };
      // What was published may be what makes an approver of somebody.
      const guarded = (from: PolicyBundle, to: PolicyBundle) => {
        if (!ended?.elevated) assertGuarded(from, to, admitWith, 'access:RevokeGrant');
      };
      const events = () => (ended ? [endedEvent(ended, context.principal, reason, Date.now())] : []);
      const published = await this.bundles.amend(
        end,
        (bundle) => intend({ revision: bundle.revision }),
        guarded,
        () => ({ events: events() }),
      );
      const result: Result<typeof revokeGrant> = {
        ...{ grant: id, revision: published?.bundle.revision ?? revision, changed: published !== undefined },
      };
      return { result, ...(published ? { recorded: published.recorded } : {}) };
    });
  }

  private concerns(change: Change, principal: string): boolean {
    if (change.requester === principal) return true;
    return whyNot(principal, { rule: change, requester: change.requester, people: this.evaluator, nowMs: Date.now() }) === undefined;
  }
}

const isOver = ({ notAfter }: Grant, nowMs: number): boolean => notAfter !== undefined && Date.parse(notAfter) <= nowMs;

type Listed = Result<typeof requests>['requests'][number];
function requestOf(change: Change): Listed {
  const { state, requester, quorum, approvers, requestedAt, expiresAt, approvals } = describeChange(change, Date.now());
  const { role, action, key, minutes, reason } = change.input as Request<typeof request>;
  return {
    ...{ change: change.change, state, requester, by: change.operation === request.name ? 'request' : 'break-glass' },
    ...(role === undefined ? { action, key } : { role }),
    ...{ minutes, reason, quorum, approvers, requestedAt, expiresAt },
    approvedBy: [...new Set(approvals.map(({ approver }) => approver))],
  };
}
