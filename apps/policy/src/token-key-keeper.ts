import { createHash, type KeyObject, randomBytes } from 'node:crypto';
import { ProblemError, type SessionsView, type SigningJwk, type TokenKeyView, tokenKeyId } from '@claviger/contracts';
import { HsmError, type Token } from '@claviger/hsm';
import type { AuditTrail, KvOwner, KvView, RecordSigner } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';
import { bucketLingerSeconds } from './sessions';
import {
  jwkOf,
  lackingKey,
  type MadeTokenKey,
  madeKeys,
  making,
  nextNumber,
  publicKeyOf,
  publishAheadMs,
  rotationDue,
  signingKey,
  spentKeys,
  thumbprint,
  verifyingKeys,
} from './token-keys';

const sweepEveryMs = 30_000;
/** How long what is over stays in the bucket, so that every replica has seen it. */
const goneStaysMs = 3_600_000;
/** A pair that was begun and never made is cleaned up by any replica within minutes; its record waits for one much longer. */
const begunStaysMs = 30 * 86_400_000;

export interface TokenKeyParts {
  token: Pick<Token, 'generateTokenKeyPair' | 'destroyTokenKeyPair' | 'findTokenKey' | 'signDigestP256'>;
  owner: Pick<KvOwner<SessionsView>, 'claim' | 'put'>;
  view: Pick<KvView<SessionsView>, 'values' | 'fresh'>;
  /** Control keys of the trust file: first tokens, made offline, are of those. */
  control: ReadonlyMap<string, KeyObject>;
  trail: Pick<AuditTrail, 'operation'>;
  everyMs: number;
  logger: LoggerService;
  nowMs?: () => number;
}

/**
 * The keys that sign tokens, in the control token. Each has a signed record in the sessions bucket, which every replica follows, and everything about it
 * is a function of the records and the time: no replica leads. A record is claimed before the pair is made, and names its label, so that a process that
 * is killed in between leaves nothing that nobody knows of.
 */
export class TokenKeyKeeper {
  private timer: NodeJS.Timeout | undefined;
  private sweeping: Promise<void> = Promise.resolve();
  private readonly nowMs: () => number;
  private readonly imported = new Map<string, KeyObject>();
  /** Whose pairs the token does not hold, such as an HSM that was restored from before they were made: ids of their records. */
  private missing: ReadonlySet<string> = new Set();
  /** Why keys were made by schedule, until the ledger has it. */
  private unrecorded: string[] = [];

  constructor(private readonly parts: TokenKeyParts) {
    this.nowMs = parts.nowMs ?? Date.now;
  }

  /** Once the view is fresh. A token that is away is tried again: until then nothing is issued, and callers are admitted. */
  async start(): Promise<void> {
    await this.sweep();
    this.timer = setInterval(() => void this.sweep(), sweepEveryMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.sweeping;
  }

  /** Signs in the token. @throws ProblemError ERR_HSM_UNAVAILABLE while there is no key */
  signer(): RecordSigner {
    const key = signingKey(this.records(), this.nowMs());
    if (!key) throw new ProblemError('ERR_HSM_UNAVAILABLE', 'No key that signs tokens has been made yet.');
    const { token } = this.parts;
    const sign = (input: Buffer) =>
      token.signDigestP256(token.findTokenKey(key.label, 'private'), createHash('sha256').update(input).digest());
    return { kid: key.kid, sign };
  }

  /** What a token may be signed with, by kid. */
  trusted(): ReadonlyMap<string, KeyObject> {
    return new Map([
      ...this.parts.control,
      ...verifyingKeys(this.records(), this.nowMs()).map((key) => [key.kid, this.imports(key)] as const),
    ]);
  }

  jwks(): { keys: SigningJwk[]; signing?: string } {
    const signing = signingKey(this.records(), this.nowMs())?.kid;
    return { keys: verifyingKeys(this.records(), this.nowMs()).map(jwkOf), ...(signing === undefined ? {} : { signing }) };
  }

  /** The kid of a key that is to sign now or later, and whose pair is gone. */
  lacking(): string | undefined {
    return lackingKey(this.records(), this.missing, this.nowMs())?.kid;
  }

  /** As JSON (RFC 7517 §5); undefined while nobody here knows whether one was withdrawn. */
  jwkSet(): string | undefined {
    return this.parts.view.fresh() ? JSON.stringify({ keys: this.jwks().keys }) : undefined;
  }

  /** @throws ProblemError ERR_CONFLICT while another replica makes one, ERR_HSM_UNAVAILABLE */
  async rotate(): Promise<MadeTokenKey> {
    const made = await this.make(madeKeys(this.records()).length === 0 ? 0 : publishAheadMs);
    if (!made) throw new ProblemError('ERR_CONFLICT', 'Another key that signs tokens is being made at this moment.');
    return made;
  }

  /** One that signs at once, after `withdrawn`. @throws ProblemError the same: what was withdrawn stays so, and the sweep goes on trying */
  async replace(withdrawn: readonly string[]): Promise<MadeTokenKey> {
    const fact = `Withdrawn already, and what they signed counts no more: ${withdrawn.join(', ') || 'none'}.`;
    const advice =
      'Policy makes a new key by itself within minutes of the token answering; `claviger access jwks` names it. Nothing is issued until then.';
    try {
      const made = await this.make(0);
      if (made) return made;
    } catch (cause) {
      throw new ProblemError('ERR_HSM_UNAVAILABLE', `${fact} No new key was made. ${advice}`, { cause });
    }
    throw new ProblemError('ERR_CONFLICT', `${fact} Another key is being made at this moment. ${advice}`);
  }

  /** What these have signed counts no more: they have leaked, or the bucket may have lost that they were withdrawn. @returns their kids */
  async withdraw(): Promise<string[]> {
    const keys = madeKeys(this.records());
    for (const key of keys) await this.parts.owner.put({ ...key, revision: key.revision + 1, state: 'withdrawn' });
    return keys.map(({ kid }) => kid);
  }

  /** Undefined when somebody else is at it. */
  private async make(aheadMs: number): Promise<MadeTokenKey | undefined> {
    const { owner, token } = this.parts;
    const nowMs = this.nowMs();
    if (making(this.records(), nowMs)) return undefined;
    const number = nextNumber(this.records());
    const begun: TokenKeyView = {
      kind: 'token-key',
      id: tokenKeyId(number),
      revision: 1,
      number,
      label: `token-signing-${number}-${randomBytes(8).toString('hex')}`,
      state: 'begun',
      begunAt: at(nowMs),
      expiresAt: at(nowMs + begunStaysMs),
    };
    if (!(await owner.claim(begun, begunStaysMs / 1_000 + bucketLingerSeconds))) return undefined;
    const publicKeySpki = generated(token, begun.label);
    const { expiresAt: _, ...rest } = begun;
    const activeFrom = at(this.nowMs() + aheadMs);
    const made: MadeTokenKey = { ...rest, revision: 2, state: 'made', publicKeySpki, kid: thumbprint(publicKeySpki), activeFrom };
    if ((await owner.put(made)) === 'written') return made;
    // Given up by another replica, which thought that this process had ended.
    token.destroyTokenKeyPair(begun.label);
    return undefined;
  }

  private sweep(): Promise<void> {
    this.sweeping = this.sweeping
      .then(async () => {
        if (!this.parts.view.fresh()) return;
        this.look();
        const lacking = lackingKey(this.records(), this.missing, this.nowMs());
        if (lacking) await this.makeInstead(lacking);
        else if (rotationDue(this.records(), this.parts.everyMs, this.nowMs())) await this.rotateBySchedule();
        await this.record();
        for (const key of spentKeys(this.records(), this.nowMs())) await this.destroy(key);
      })
      .catch((error) => this.parts.logger.warn(`token keys: ${String(error)}; tried again in ${sweepEveryMs / 1_000} s`));
    return this.sweeping;
  }

  /** What a token that is away holds is not known: it stays as it was seen last. */
  private look(): void {
    const missing = new Set(this.missing);
    for (const { id, label } of madeKeys(this.records())) {
      const held = holds(this.parts.token, label);
      if (held === false) missing.add(id);
      else if (held) missing.delete(id);
    }
    this.missing = missing;
  }

  /** In its place, so that it signs from when the other would have. */
  private async makeInstead(lacking: MadeTokenKey): Promise<void> {
    this.parts.logger.error(`token keys: the pair of ${lacking.kid} is not in the token; another key is made in its place`);
    const made = await this.make(Math.max(0, Date.parse(lacking.activeFrom) - this.nowMs()));
    if (made) this.unrecorded.push(`key ${made.kid} signs tokens from ${made.activeFrom}, since the pair of ${lacking.kid} is gone`);
  }

  private async rotateBySchedule(): Promise<void> {
    const first = madeKeys(this.records()).length === 0;
    const made = await this.make(first ? 0 : publishAheadMs);
    if (!made) return;
    const reason = `key ${made.kid} signs tokens from ${made.activeFrom}, ${first ? 'the first' : 'by schedule'}`;
    this.parts.logger.log(`token keys: ${reason}`);
    this.unrecorded.push(reason);
  }

  private async record(): Promise<void> {
    for (const reason of [...this.unrecorded]) {
      const entry = { action: 'access:RotateSigningKey', principal: 'policy', session: 'schedule', reason };
      await this.parts.trail.operation({ ...entry, outcome: 'success', revisions: {} });
      this.unrecorded = this.unrecorded.filter((other) => other !== reason);
    }
  }

  /** The pair first: what a crash in between leaves is found again by its record. */
  private async destroy(key: TokenKeyView): Promise<void> {
    this.parts.token.destroyTokenKeyPair(key.label);
    const expiresAt = this.nowMs() + goneStaysMs;
    const gone: TokenKeyView = { ...key, revision: key.revision + 1, state: 'destroyed', expiresAt: at(expiresAt) };
    await this.parts.owner.put(gone, goneStaysMs / 1_000 + bucketLingerSeconds);
  }

  private imports({ kid, publicKeySpki }: MadeTokenKey): KeyObject {
    const key = this.imported.get(kid) ?? publicKeyOf(publicKeySpki);
    this.imported.set(kid, key);
    return key;
  }

  private records(): TokenKeyView[] {
    return [...this.parts.view.values()].filter((record) => record.kind === 'token-key');
  }
}

const at = (ms: number) => new Date(ms).toISOString();

/** Undefined when the token does not say. */
function holds(token: TokenKeyParts['token'], label: string): boolean | undefined {
  try {
    token.findTokenKey(label, 'private');
    return true;
  } catch (error) {
    if (error instanceof HsmError) return error.code === 'HSM_KEY_NOT_FOUND' ? false : undefined;
    throw error;
  }
}

function generated(token: TokenKeyParts['token'], label: string): string {
  try {
    return token.generateTokenKeyPair(label, 'EC_P256').toString('base64url');
  } catch (error) {
    if (error instanceof HsmError) throw new ProblemError('ERR_HSM_UNAVAILABLE', undefined, { cause: error });
    throw error;
  }
}
