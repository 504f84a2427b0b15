import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import {
  clientAlerts,
  cryptoOperations,
  grantedSubjects,
  type Operation,
  ProblemError,
  parseRequestSubject,
  policyOperations,
  principalPattern,
  serviceInboxPrefix,
  serviceSubject,
  sessionPattern,
} from '@claviger/contracts';
import { createBrokerIdentities, provision, renderBrokerConfig } from '@claviger/messaging';
import { startNatsServer, temporaryFolder } from '@claviger/testing';
import { decode, encodeAuthorizationResponse, encodeUser } from '@nats-io/jwt';
import { fromSeed } from '@nats-io/nkeys';
import { connect, type Msg, type NatsConnection, nkeyAuthenticator } from '@nats-io/transport-node';

/**
 * The broker as Claviger configures it, a callout that admits by token, and a responder with real AES-256-GCM: enough of the system to prove
 * the client against. Tokens here are unsigned JWTs; what is real is what the client sees: admission, expiry, subjects, inboxes.
 */
export const tokenFor = (principal: string, lifetimeSeconds = 900): string =>
  [
    'e30',
    Buffer.from(JSON.stringify({ sub: principal, exp: Math.floor(Date.now() / 1_000) + lifetimeSeconds })).toString('base64url'),
    'x',
  ].join('.');

export type Handler = (input: Record<string, unknown>, from: { principal: string; session: string; headers: string[] }) => unknown;
export type SmallSystem = Awaited<ReturnType<typeof startSmallSystem>>;

export async function startSmallSystem() {
  const folder = await temporaryFolder('client-spec');
  const { identities, seeds } = createBrokerIdentities();
  const config = renderBrokerConfig({ identities, host: '127.0.0.1', port: 0 });
  const broker = await startNatsServer({ dir: `${folder.path}/nats`, config });
  const seedOf = (text: string) => new TextEncoder().encode(text);
  const join = (seed: string, inboxPrefix = '_INBOX') =>
    connect({
      servers: broker.url,
      authenticator: nkeyAuthenticator(seedOf(seed)),
      inboxPrefix,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 50,
      reconnectJitter: 0,
    });

  const admitted: { principal: string; session: string }[] = [];
  const refusing = new Set<string>();
  const policy = await join(seeds.services.policy, serviceInboxPrefix('policy'));
  const issuer = fromSeed(seedOf(seeds.calloutIssuer));
  const xkey = fromSeed(seedOf(seeds.calloutXkey)) as unknown as {
    open(data: Uint8Array, from: string): Uint8Array;
    seal(data: Uint8Array, to: string): Uint8Array;
  };
  const admit = async (m: Msg) => {
    const serverKey = m.headers!.get('Nats-Server-Xkey');
    const request = decode<{ user_nkey: string; server_id: { id: string }; connect_opts: { auth_token?: string; name?: string } }>(
      new TextDecoder().decode(xkey.open(m.data, serverKey)),
    ).nats;
    const session = request.connect_opts!.name ?? '';
    const { sub = '', exp = 0 } = claims(request.connect_opts!.auth_token ?? '');
    const ok =
      principalPattern.test(sub) &&
      sessionPattern.test(session) &&
      exp * 1_000 > Date.now() &&
      !refusing.has(sub) &&
      !admitted.some((a) => a.session === session);
    const user = { getPublicKey: () => request.user_nkey } as Parameters<typeof encodeUser>[1];
    const server = { getPublicKey: () => request.server_id!.id } as Parameters<typeof encodeUser>[1];
    const granted = grantedSubjects(sub, session);
    const { stream, consumer, liveSubject } = clientAlerts;
    const reader = sub === 'security-team';
    const alertApi = [
      `$JS.API.CONSUMER.INFO.${stream}.${consumer}`,
      `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`,
      `$JS.ACK.${stream}.${consumer}.>`,
    ];
    const permissions = {
      pub: { allow: [granted.publish, ...(reader ? alertApi : [])] },
      sub: { allow: [granted.subscribe, ...(reader ? [liveSubject] : [])] },
    };
    const jwt = ok ? await encodeUser(sub, user, issuer, permissions, { aud: 'CLIENTS', exp }) : undefined;
    if (ok) admitted.push({ principal: sub, session });
    const response = await encodeAuthorizationResponse(user, server, issuer, jwt ? { jwt } : { error: 'refused' }, {
      aud: request.server_id!.id,
    });
    m.respond(xkey.seal(new TextEncoder().encode(response), serverKey));
  };
  policy.subscribe('$SYS.REQ.USER.AUTH', { callback: (_error, m) => void admit(m) });

  const worker = await join(seeds.services['crypto-worker'], serviceInboxPrefix('crypto-worker'));
  const handlers: Record<string, Handler> = { ...cryptoHandlers(), 'access.issue-token': (_input, { principal }) => issued(principal) };
  const seen: { operation: string; requestId: string }[] = [];
  const operations: Record<string, Operation> = Object.fromEntries(
    [...Object.values(cryptoOperations), ...Object.values(policyOperations)].map((operation) => [operation.name, operation]),
  );
  const answer = async (m: Msg) => {
    const { principal, session, service, verb } = parseRequestSubject(m.subject)!;
    const name = `${service}.${verb}`;
    try {
      const { type: _, requestId, ...input } = operations[name]!.request.parse(m.json()) as Record<string, unknown>;
      seen.push({ operation: name, requestId: String(requestId) });
      const result = await handlers[name]!(input, { principal, session, headers: m.headers?.keys() ?? [] });
      if (result !== undefined)
        m.respond(JSON.stringify({ result, receipt: { worker: 'w', epoch: 'e', seq: 0, batchHash: 'A'.repeat(43), index: 0 } }));
    } catch (error) {
      m.respond(
        JSON.stringify({
          problem: (error instanceof ProblemError ? error : new ProblemError('ERR_MALFORMED_REQUEST', String(error))).toProblem(),
        }),
      );
    }
  };
  const serve = (connection: NatsConnection, service: string) =>
    connection.subscribe(serviceSubject(service), { queue: service, callback: (_e, m) => void answer(m) });
  serve(worker, 'crypto');
  serve(policy, 'access');
  await Promise.all([worker.flush(), policy.flush()]);

  return {
    broker,
    handlers,
    admitted,
    refusing,
    seen,
    worker,
    /** As the anomaly-detector. */
    detector: () => join(seeds.services['anomaly-detector'], serviceInboxPrefix('anomaly-detector')),
    /** A key-lifecycle whose every answer is `answer`. */
    async keyService(answer: (m: Msg) => void) {
      const connection = await join(seeds.services['key-lifecycle'], serviceInboxPrefix('key-lifecycle'));
      const requests = connection.subscribe(serviceSubject('keys'), { queue: 'keys', callback: (_e, m) => answer(m) });
      await connection.flush();
      const close = async () => {
        // The broker must know that nobody listens any more: a request in between would be received by nobody, unsaid.
        requests.unsubscribe();
        await connection.flush();
        await connection.close();
      };
      return { close };
    },
    async provision() {
      const core = await join(seeds.provisionerCore);
      const clients = await join(seeds.provisionerClients);
      await provision({ core, clients, replicas: 1, report: () => undefined });
      await Promise.all([core.close(), clients.close()]);
    },
    async stop() {
      await Promise.all([worker.close(), policy.close()]);
      await broker.stop();
      await folder.remove();
    },
  };
}

export const keyId = `k_${'A'.repeat(22)}`;

function cryptoHandlers(): Record<string, Handler> {
  const key = randomBytes(32);
  const seal = (context: unknown, plaintext: Buffer) => {
    const ctx = context === undefined ? {} : { ctx: createHash('sha256').update(JSON.stringify(context)).digest('base64url') };
    const header = Buffer.from(JSON.stringify({ alg: 'dir', enc: 'A256GCM', kid: `${keyId}#1`, ...ctx })).toString('base64url');
    const iv = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(header));
    const body = Buffer.concat([cipher.update(plaintext), cipher.final()]);
    return [header, '', ...[iv, body, cipher.getAuthTag()].map((part) => part.toString('base64url'))].join('.');
  };
  const handlers: Record<string, Handler> = {
    'crypto.encrypt': ({ plaintext, context }) => ({
      keyId,
      version: 1,
      ciphertext: seal(context, Buffer.from(String(plaintext), 'base64url')),
    }),
    'crypto.decrypt': ({ ciphertext }) => {
      const [header, , ...rest] = String(ciphertext).split('.') as [string, string, ...string[]];
      const [iv, body, tag] = rest.map((part) => Buffer.from(part, 'base64url')) as [Buffer, Buffer, Buffer];
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(header)).setAuthTag(tag);
        const plaintext = Buffer.concat([decipher.update(body), decipher.final()]);
        return { keyId, version: 1, plaintext: plaintext.toString('base64url') };
      } catch {
        throw new ProblemError('ERR_DECRYPTION_FAILED');
      }
    },
    'crypto.generate-data-key': ({ context }) => {
      const plaintext = randomBytes(32);
      return { keyId, version: 1, ciphertext: seal(context, plaintext), plaintext: plaintext.toString('base64url') };
    },
    'crypto.generate-random': ({ bytes }) => ({ random: randomBytes(Number(bytes)).toString('base64url') }),
  };
  /** An item that is refused leaves the others as they are. */
  const batchOf =
    (name: string): Handler =>
    async ({ items }, from) => ({
      results: await Promise.all(
        (items as Record<string, unknown>[]).map(async (item) => {
          try {
            return { result: await handlers[name]?.(item, from) };
          } catch (error) {
            return { problem: (error as ProblemError).toProblem() };
          }
        }),
      ),
    });
  for (const name of ['crypto.encrypt', 'crypto.decrypt']) handlers[`${name}-batch`] = batchOf(name);
  return handlers;
}

const issued = (principal: string) => ({ principal, token: tokenFor(principal), expiresAt: new Date(Date.now() + 900_000).toISOString() });

function claims(token: string): { sub?: string; exp?: number } {
  try {
    return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  } catch {
    return {};
  }
}
