import { setTimeout as pause } from 'node:timers/promises';
import { claviger } from '@claviger/authz';
import {
  keyOperations,
  migrationHsmOperations,
  type Operation,
  ProblemError,
  type Request,
  type Result,
  type TokenStatement,
  type Trust,
  tokenStatementType,
} from '@claviger/contracts';
import { type Answer, type AuditTrail, askInternal, type RecordSigner, type RequestContext, signRecord } from '@claviger/messaging';
import { RecordedReply } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { Hsm } from './rewrap.controller';
import { Roots } from './roots';
import { assertLeft, assertNoKeys, assertOnly, contentsOf, rootsThatWere } from './token-ending';
import { TokenSurvey } from './token-survey';

type Ops = typeof keyOperations;
const hsmTimeoutMs = 10_000;
/** Any worker takes the question, and not every one has the token. */
const attempts = 20;
const pauseMs = 250;

/** A class, since Nest injects by it. */
export class Statements {
  constructor(readonly parts: { signer: RecordSigner; trust: Pick<Trust, 'certifiers' | 'ledger'>; trail: Pick<AuditTrail, 'append'> }) {}
}

/** The end of a token that another one took the place of. */
@Controller()
export class TokenEndingController {
  constructor(
    private readonly replies: RecordedReply,
    private readonly roots: Roots,
    private readonly survey: TokenSurvey,
    private readonly hsm: Hsm,
    private readonly statements: Statements,
  ) {}

  /** Everything is looked at before anything is destroyed, and after it; what is not known counts as there. */
  @MessagePattern(keyOperations.proveTokenEmpty.name)
  prove(@Payload() { token, leaveForeign, reason }: Request<Ops['proveTokenEmpty']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(keyOperations.proveTokenEmpty, context, { reason }, async ({ admit }) => {
      admit('keys:ProveTokenEmpty', claviger);
      const sightings = await this.survey.of(token);
      if (sightings.every((one) => one.token === 'unknown'))
        throw new ProblemError('ERR_NOT_FOUND', `No worker has a token ${token}: name it in FURTHER_TOKENS_FILE of one that is to look.`);
      const roots = await this.roots.all();
      assertLeft(token, roots, sightings);
      const { trust, signer, trail } = this.statements.parts;
      const { objects, certifier } = await this.ask(migrationHsmOperations.tokenHoldings, { token });
      const contents = contentsOf(objects, certifier, trust);
      assertNoKeys(token, contents, leaveForeign);
      const isCertified = contents.leavings.some((one) => one.class !== 'data');
      const { identity, objects: left } = await this.ask(migrationHsmOperations.emptyToken, { token, certifier: isCertified });
      assertOnly(token, left, contents.foreign);
      const said: TokenStatement = {
        ...{ format: 'claviger.token-statement/1', site: trust.ledger.origin, token: identity, at: new Date().toISOString() },
        ...{ by: context.principal, reason, objects: 0, roots: rootsThatWere(token, roots), destroyed: contents.leavings, remaining: left },
      };
      const statement = signRecord(tokenStatementType, said, signer);
      await trail.append({ kind: 'token-emptied', token, statement });
      return { result: { statement, said }, record: { keyId: token } };
    });
  }

  private async ask<O extends Operation>(operation: O, input: Parameters<typeof askInternal<O>>[2]): Promise<Result<O>> {
    for (let attempt = 1; ; attempt++)
      try {
        return await askInternal(this.hsm.connection, operation, input, { timeoutMs: hsmTimeoutMs });
      } catch (error) {
        if (!(error instanceof ProblemError && error.code === 'ERR_HSM_UNAVAILABLE') || attempt >= attempts) throw error;
        await pause(pauseMs);
      }
  }
}
