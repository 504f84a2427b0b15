import { readFileSync } from 'node:fs';
import { encodeAuthorizationResponse, encodeUser, type User } from '@nats-io/jwt';
import { fromCurveSeed, type KeyPair } from '@nats-io/nkeys';
import type { Msg } from '@nats-io/transport-node';
import { decodeJwt } from 'jose';
import { z } from 'zod';
import { issuerKey } from './issuer-key';
import { Refused } from './refusal';

/** Account that admitted callers live in. */
const clientsAccount = 'CLIENTS';
/** Set by the server: the curve key that this request is sealed with and its answer must be sealed for. */
const serverKeyHeader = 'Nats-Server-Xkey';
/** A request holds the caller's CONNECT options and certificate chains; the broker bounds both, this bounds what we parse. */
const requestBytesMax = 256 * 1024;

const text = z.string().optional();
/** What admission reads of the broker's question (nats-server `jwt.AuthorizationRequest`); the rest of it is ignored. */
const Asked = z.object({
  user_nkey: z.string(),
  server_id: z.object({ id: z.string() }),
  client_info: z.object({ host: z.string(), id: z.int() }),
  connect_opts: z.object({ auth_token: text, name: text, jwt: text, nkey: text, user: text, pass: text }),
  client_tls: z.object({ verified_chains: z.array(z.array(z.string())).optional() }).optional(),
});
export type ConnectionRequest = z.output<typeof Asked>;

export interface CalloutRequest extends ConnectionRequest {
  readonly replySealedFor: string;
}

/** Speaks with nats-server's auth callout (ADR-26): sealed with curve keys both ways, answers signed by the issuer account. */
export class CalloutWire {
  constructor(
    private readonly issuer: KeyPair,
    private readonly xkey: KeyPair,
  ) {}

  static fromFiles(issuerFile: string, xkeyFile: string): CalloutWire {
    const seed = (file: string) => new TextEncoder().encode(readFileSync(file, 'utf8').trim());
    return new CalloutWire(issuerKey(seed(issuerFile)), fromCurveSeed(seed(xkeyFile)));
  }

  /** Throws Refused `malformed-request`: then there is nobody to answer. */
  read(message: Msg): CalloutRequest {
    try {
      const sender = message.headers?.get(serverKeyHeader);
      if (!sender || message.data.length > requestBytesMax) throw new Error('not sealed, or too large');
      const opened = this.xkey.open(message.data, sender);
      if (!opened) throw new Error('sealed for another key');
      // The JWT is signed with a key that it names itself: the sealed channel, not the signature, says that the broker asks.
      const claims = decodeJwt<{ nats?: unknown }>(new TextDecoder().decode(opened));
      return { ...Asked.parse(claims.nats), replySealedFor: sender };
    } catch (cause) {
      throw new Refused('malformed-request', undefined, { cause });
    }
  }

  async admit(
    message: Msg,
    request: CalloutRequest,
    user: { name: string; permissions: Partial<User>; expiresAtMs: number },
  ): Promise<void> {
    const jwt = await encodeUser(user.name, request.user_nkey, this.issuer, user.permissions, {
      aud: clientsAccount,
      exp: Math.floor(user.expiresAtMs / 1_000),
    });
    await this.answer(message, request, { jwt });
  }

  /** The broker tells the client "Authorization Violation" and nothing else. */
  refuse(message: Msg, request: CalloutRequest, reason: string): Promise<void> {
    return this.answer(message, request, { error: reason });
  }

  private async answer(
    message: Msg,
    { user_nkey, server_id, replySealedFor }: CalloutRequest,
    body: { jwt?: string; error?: string },
  ): Promise<void> {
    const response = await encodeAuthorizationResponse(user_nkey, server_id.id, this.issuer, body, { aud: server_id.id });
    message.respond(this.xkey.seal(new TextEncoder().encode(response), replySealedFor));
  }
}
