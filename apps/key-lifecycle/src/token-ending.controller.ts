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
import { KeyStore } from './key-store';
import { keysInTokens } from './keys-in-tokens';
import { Hsm } from './rewrap.controller';
import { Roots } from './roots';
import { deviceOf } from './token-device';
import { assertLeft, assertNoKeys, assertNoneStays, assertOnly, contentsOf, nameOfObject, rootsThatWere } from './token-ending';
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
    private readonly store: KeyStore,
  ) {}

  /** Everything is looked at before anything is destroyed, and after it; what is not known counts as there. */
  @MessagePattern(keyOperations.proveTokenEmpty.name)
  prove(@Payload() { token, leaveForeign, reason }: Request<Ops['proveTokenEmpty']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(keyOperations.proveTokenEmpty, context, { keyId: token, reason }, async ({ admit }) => {
      admit('keys:ProveTokenEmpty', claviger);
      const sightings = await this.survey.of(token);
      const roots = await this.roots.all();
      assertLeft(token, roots, sightings);
      const { serialNumber } = deviceOf(token, sightings);
      assertNoneStays(token, await keysInTokens(this.store));
      const { trust, signer, trail } = this.statements.parts;
      const { identity, objects, certifier } = await this.ask(migrationHsmOperations.tokenHoldings, { token });
      if (identity.serialNumber !== serialNumber)
        throw new ProblemError(
          'ERR_CONFLICT',
          `Token ${token} was device ${serialNumber} a moment ago, and is ${identity.serialNumber} now.`,
        );
      const contents = contentsOf(objects, certifier, trust);
      assertNoKeys(token, contents, leaveForeign);
      const isCertified = contents.leavings.some((one) => one.class !== 'data');
      const ours = isCertified && certifier !== undefined ? { certifier } : {};
      const destroys = contents.leavings.map(nameOfObject);
      const { principal: by, session } = context;
      // Before it is done: should this process end, or the answer be lost, it is known who began it.
      await trail.append({ kind: 'token-emptying', token, serialNumber, by, session, reason, destroys });
      const order = { token, serialNumber, foreign: contents.foreign, ...ours };
      const { objects: left } = await this.ask(migrationHsmOperations.emptyToken, order);
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
