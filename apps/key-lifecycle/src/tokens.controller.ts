import { claviger } from '@claviger/authz';
import { type Request, type TokenDescription, tokenOperations } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { RecordedReply } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { Assurance } from './assurance';
import { isLiving } from './kek';
import { KekStore } from './kek-store';
import { KeyStore } from './key-store';
import { keysInTokens } from './keys-in-tokens';
import { describeTokens } from './token-description';
import { TokenSightings } from './token-sightings';

/** What is known of the tokens that keys are in. */
@Controller()
export class TokensController {
  constructor(
    private readonly replies: RecordedReply,
    private readonly assurance: Assurance,
    private readonly sightings: TokenSightings,
    private readonly keks: KekStore,
    private readonly store: KeyStore,
  ) {}

  @MessagePattern(tokenOperations.listTokens.name)
  list(@Payload() { count }: Request<typeof tokenOperations.listTokens>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(tokenOperations.listTokens, context, {}, async ({ admit }) => {
      admit('keys:ListTokens', claviger);
      const seen = await this.sightings.all().catch(() => undefined);
      const tokens = describeTokens(this.assurance.records, seen ?? [], Date.now());
      const counted = count ? await this.counted(tokens) : tokens;
      return { result: { tokens: counted, ...(seen ? { seenAt: new Date().toISOString() } : {}) } };
    });
  }

  private async counted(tokens: readonly TokenDescription[]): Promise<TokenDescription[]> {
    const { within } = await keysInTokens(this.store);
    let wrapped = 0;
    for (const { kekId } of (await this.keks.list()).filter(isLiving)) wrapped += await this.store.countUnder(kekId);
    return tokens.map((token) => ({ ...token, keys: (within.get(token.label) ?? 0) + (token.root ? wrapped : 0) }));
  }
}
