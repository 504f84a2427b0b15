import { type AuthorizationRequest, claviger, Evaluator, explained, keyResource, type Resource } from '@claviger/authz';
import { type Action, actionTable, explainOperations, type KeyView, ProblemError, type Request, type Result } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { type About, type Asker, named, RecordedReply } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { KeyFacts } from './key-facts';

const { explain } = explainOperations;

/** `policy.explain`: what is decided and why, for those who may know. */
@Controller()
export class ExplainController {
  constructor(
    private readonly recorded: RecordedReply,
    private readonly evaluator: Evaluator,
    private readonly keys: KeyFacts,
  ) {}

  @MessagePattern(explain.name)
  explain(@Payload() asked: Request<typeof explain>, @Ctx() context: RequestContext): Promise<Answer> {
    const principal = asked.principal ?? context.principal;
    const about: About = { reason: `may ${principal} ${asked.action}?`, ...(asked.key === undefined ? {} : named(asked.key)) };
    return this.recorded.answer(explain, context, about, async ({ session, admit, allows }) => {
      if ((actionTable[asked.action] === 'Key') !== (asked.key !== undefined))
        throw new ProblemError(
          'ERR_MALFORMED_REQUEST',
          `${asked.action} is about ${asked.key === undefined ? 'a key: name it' : 'no key'}.`,
        );
      const isOwn = principal === context.principal;
      const key = await this.admitted({ admit, allows }, about, asked.key, isOwn);
      if (key) about.keyId = key.keyId;
      const resource = key ? keyResource(key) : claviger;
      const { mfa, method, acr } = isOwn ? { ...session, ...given(asked) } : { mfa: false, method: 'token' as const, ...given(asked) };
      const { newOwner, encryptionContext, at } = asked;
      const nowMs = at === undefined ? Date.now() : Date.parse(at);
      const request: AuthorizationRequest = {
        ...{ principalId: principal, action: asked.action, resource },
        context: {
          ...{ mfa, authMethod: method, nowMs },
          ...(acr === undefined ? {} : { acr }),
          ...(encryptionContext ? { encryptionContext } : {}),
          ...(newOwner === undefined ? {} : { newOwner }),
          ...(isOwn && at === undefined
            ? { sessionAgeSeconds: Math.max(0, Math.floor((nowMs - Date.parse(session.issuedAt)) / 1_000)) }
            : {}),
        },
      };
      return { result: this.answer(request, resource) };
    });
  }

  private answer(request: AuthorizationRequest, resource: Resource): Result<typeof explain> {
    const { current } = this.evaluator;
    if (!current) throw new ProblemError('ERR_STATE_STALE');
    const { decision, policies, roles, groups, missing, text } = explained(this.evaluator, request);
    const { principalId, action, context } = request;
    return {
      ...{ decision: decision.kind, code: decision.code },
      question: {
        ...{ principal: principalId, action, mfa: context.mfa, method: context.authMethod, at: new Date(context.nowMs).toISOString() },
        ...(resource.type === 'Key' && resource.revision !== 'proposed' ? { keyId: resource.id, keyRevision: resource.revision } : {}),
      },
      bundle: { revision: current.bundle.revision, hash: current.hash },
      ...{ policies: [...policies], roles: [...roles], groups: [...groups], missing: [...missing], text },
    };
  }

  /**
   * Asks policy whether the caller may know, by what it needs least for: about itself, about a key that policy lets it ask about, about anybody. The record has
   * what was asked. Whether a key is there is told to nobody who may not know. Gives the key.
   */
  private async admitted(
    { admit, allows }: Pick<Asker, 'admit' | 'allows'>,
    about: About,
    ref: string | undefined,
    isOwn: boolean,
  ): Promise<KeyView | undefined> {
    const found = ref === undefined ? undefined : await this.found(ref);
    const resource = found && 'key' in found ? keyResource(found.key) : undefined;
    if (isOwn && allows('policy:ExplainOwn', claviger)) ask('policy:ExplainOwn');
    else if (resource && !allows('policy:Explain', claviger) && allows('policy:ExplainKey', resource)) ask('policy:ExplainKey', resource);
    else ask('policy:Explain');
    if (found && 'problem' in found) throw found.problem;
    return found?.key;

    function ask(action: Action, on: Resource = claviger): void {
      about.action = action;
      admit(action, on);
    }
  }

  private async found(ref: string): Promise<{ key: KeyView } | { problem: ProblemError }> {
    try {
      return { key: await this.keys.read(ref) };
    } catch (error) {
      if (error instanceof ProblemError) return { problem: error };
      throw error;
    }
  }
}

/** What the question says of how the principal had authenticated. */
const given = ({ mfa, method, acr }: Request<typeof explain>) => ({
  ...(mfa === undefined ? {} : { mfa }),
  ...(method === undefined ? {} : { method }),
  ...(acr === undefined ? {} : { acr }),
});
