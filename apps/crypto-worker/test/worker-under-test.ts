import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { type Decision, Gate } from '@claviger/authz';
import { type KekMaterial, type KeysView, type KeyView, type SessionsView, type SessionView, usagesOf } from '@claviger/contracts';
import {
  createCustomerKeys,
  type Distance,
  HsmError,
  initToken,
  openEpoch,
  probe,
  Token,
  tokenKeyLabels,
  trustedSigner,
} from '@claviger/hsm';
import { AuditTrail, KvOwner, openKeysView, openSessionsView, type RequestContext, recordTypes, revisionReader } from '@claviger/messaging';
import { RecordedReply } from '@claviger/service';
import { startBroker, temporaryFolder, until } from '@claviger/testing';
import { test } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { context } from '@opentelemetry/api';
import { acknowledgeChanges } from '../src/applied';
import { CryptoController } from '../src/crypto.controller';
import { HsmController } from '../src/hsm.controller';
import { type AskLease, InvocationLeases } from '../src/invocation-leases';
import { KeyEstablishment } from '../src/key-establishment';
import { KeyHolder } from '../src/key-holder';
import { Operations } from '../src/operations';
import { toProblem } from '../src/problem';
import { RecordedUse } from '../src/recorded-use';
import { RsaEncryption } from '../src/rsa-encryption';
import { TokenBreaker } from '../src/token-breaker';
import { type Reachable, Tokens } from '../src/tokens';

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const random22 = () => Array.from(randomBytes(22), (byte) => alphabet[byte % alphabet.length]).join('');

export type Line = Record<string, unknown> & { kind: string };
type Allow = Extract<Decision, { kind: 'allow' }>;

/** A customer token with the keys of a ceremony. */
export function customerToken(distance: Distance = 'near'): Token {
  const libraryPath = process.env.CLAVIGER_TEST_PKCS11 as string;
  const tokenLabel = `t-${randomBytes(8).toString('hex')}`;
  const pin = randomBytes(8).toString('hex');
  initToken(libraryPath, { label: tokenLabel, soPin: randomBytes(8).toString('hex'), pin });
  const token = Token.open({ libraryPath, tokenLabel, pin, distance });
  createCustomerKeys(token);
  return token;
}

/** Tests of what SoftHSM lacks. kryoptic is optional: it is built where cargo is, and the set-up says so where it is not. */
export const onKryoptic = process.env.CLAVIGER_TEST_KRYOPTIC ? test : test.skip;

/** A further token for what SoftHSM lacks, where kryoptic was built; each worker of Jest has slots of its own. */
function kryopticToken(): Token[] {
  const libraryPath = process.env.CLAVIGER_TEST_KRYOPTIC;
  if (!libraryPath) return [];
  const count = Number(process.env.CLAVIGER_TEST_KRYOPTIC_SLOTS);
  const first = (Number(process.env.JEST_WORKER_ID ?? 1) - 1) * count;
  const [tokenLabel, pin] = [`pq-${randomBytes(6).toString('hex')}`, randomBytes(8).toString('hex')];
  const slots = Array.from({ length: count }, (_, i) => first + i);
  initToken(libraryPath, { label: tokenLabel, soPin: randomBytes(8).toString('hex'), pin, slots });
  const token = Token.open({ libraryPath, tokenLabel, pin });
  token.createCanary();
  return [token];
}

/** A token that is never away. */
const reachable = (token: Token): Reachable => ({ label: token.label, reached: () => token });

/** The worker without its front: real broker, permissions, buckets and AUDIT; a real token; what policy says is said by the test. */
export async function startWorker({ distance = 'near' }: { distance?: Distance } = {}) {
  const folder = await temporaryFolder('crypto-worker-spec');
  const broker = await startBroker({ dir: folder.path });
  const [connection, keysOwner, policyOwner, provisioner] = await Promise.all([
    broker.connection('crypto-worker'),
    broker.connection('key-lifecycle'),
    broker.connection('policy'),
    broker.connection('provisionerCore'),
  ]);
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const control = { kid: 'control-1', sign: (input: Buffer) => sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' }) };
  const trusted: ReadonlyMap<string, KeyObject> = new Map([[control.kid, publicKey]]);
  const token = customerToken(distance);
  const tokens = new Tokens(token, kryopticToken().map(reachable), 'eu');

  const certifierSpki = token.publicKeySpki(tokenKeyLabels.customer.certifier).toString('base64url');
  const certifier = trustedSigner(token, tokenKeyLabels.customer.certifier, { 'customer-certifier': certifierSpki });
  const trail = new AuditTrail({ connection, service: 'crypto-worker', worker: 'w1', openEpoch: () => openEpoch(token, certifier) });
  const viewOptions = { connection, holder: 'crypto-worker.w1', trusted, onRefused: () => undefined };
  // Few are held whole, so that keys are dropped and read again in every test: an alias and the two keys of one request, and one more.
  const keyView = openKeysView(viewOptions, { atMost: 4 });
  const sessions = openSessionsView(viewOptions);
  const keys = new KeyHolder(keyView, tokens, { capacity: 50, ttlMs: 600_000, onDestroyFailure: () => undefined });
  acknowledgeChanges({ connection, trail, viewOptions }, 'keys', keyView);
  await Promise.all([keyView.start(), sessions.start()]);

  const owner = new KvOwner<KeysView>(keysOwner, 'keys', recordTypes.keys, control, revisionReader('keys', trusted));
  const sessionsOwner = new KvOwner<SessionsView>(
    policyOwner,
    'sessions',
    recordTypes.sessions,
    control,
    revisionReader('sessions', trusted),
  );
  await Promise.all([owner.start(), sessionsOwner.start()]);
  await until(() => keyView.proven() && sessions.proven(), { what: 'the views to be proven' });
  owner.keepMark(keyView);
  sessionsOwner.keepMark(sessions);
  await Promise.all([owner.sign(keyView), sessionsOwner.sign(sessions), keyView.whenFresh(), sessions.whenFresh()]);

  const said: { decision: Decision; byAction?: ((action: string) => Decision) | undefined; lease: AskLease; tokenFails: boolean } = {
    tokenFails: false,
    lease: async (_keyId, _version, count) => count,
    decision: { kind: 'allow', code: 'permitted', policyIds: ['p1'], reason: 'test' } satisfies Allow,
  };
  const gate = new Gate({
    sessions,
    policy: { fresh: () => true },
    evaluator: {
      decide: ({ action }) => said.byAction?.(action) ?? said.decision,
      current: { bundle: { revision: 3 } as never, hash: '' },
    },
  });
  const breaker = new TokenBreaker({
    token: token.label,
    probe: () => {
      if (said.tokenFails) throw new HsmError('HSM_UNAVAILABLE', 'The test says so');
      probe(token);
    },
    report: () => undefined,
    limits: { failures: 5, windowMs: 10_000, probeEveryMs: 20 },
    logger: { log: () => undefined, error: () => undefined },
  });
  const hsm = new HsmController(tokens, keys, breaker);
  const leases = new InvocationLeases((...asked) => said.lease(...asked), { capacity: 1_000 });
  const operations = new Operations(token, keys, leases, new RsaEncryption(keys));
  const establishment = new KeyEstablishment(keys);
  const replies = new RecordedReply(gate, trail, (error) => {
    breaker.observe(error);
    return toProblem(error);
  });
  const recorded = new RecordedUse(replies, keys, leases, breaker);
  const jsm = await jetstreamManager(provisioner);

  const kekId = 'kek_production_internal_1';
  const kek = (await hsm.generateKek({ type: 'claviger.request/1' })).result as KekMaterial;
  await owner.put({ kind: 'kek', id: kekId, kekId, revision: 1, environment: 'production', classification: 'internal', material: kek });
  const arrived = (id: string, revision: number) =>
    until(() => keyView.held(id)?.revision === revision, { what: `revision ${revision} of ${id}` });
  const put = async (key: KeyView): Promise<KeyView> => {
    await owner.put(key);
    await arrived(key.id, key.revision);
    return key;
  };
  await arrived(kekId, 1);
  const version = async (
    n: number,
    algorithm: KeyView['algorithm'],
    state: KeyView['versions'][number]['state'] = 'active',
    usage: KeyView['usage'] = usagesOf(algorithm)[0],
  ) => ({
    version: n,
    state,
    ...((await hsm.generateKey({ type: 'claviger.request/1', algorithm, usage, kekId, kek })).result as object),
  });
  const key = async (algorithm: KeyView['algorithm'] = 'AES_256', more: Partial<KeyView> = {}): Promise<KeyView> => {
    const keyId = `k_${random22()}`;
    return {
      kind: 'key',
      id: keyId,
      revision: 1,
      keyId,
      name: keyId.toLowerCase(),
      algorithm,
      usage: usagesOf(algorithm)[0],
      environment: 'production',
      classification: 'internal',
      owner: 'kim',
      consumers: [],
      createdBy: 'kim',
      tags: {},
      primaryVersion: 1,
      suspended: false,
      processingAllowed: false,
      versions: more.versions ?? [await version(1, algorithm, 'active', more.usage)],
      ...more,
    };
  };
  return {
    broker,
    connection,
    keysOwner,
    token,
    breaker,
    trail,
    keyView,
    keys,
    owner,
    operations,
    establishment,
    tokens,
    /** The internal operations of a worker with these tokens only. */
    withTokens: ([primary, ...further]: [Token, ...Token[]]) =>
      new HsmController(new Tokens(primary, further.map(reachable)), keys, breaker),
    replies,
    recorded,
    /** Requests as the messaging layer hands them over. */
    one: new CryptoController(recorded, operations, establishment),
    hsm,
    kek,
    kekId,
    said,
    key,
    version,
    put,
    /** Points an alias to a key, or to none. `wait: false`: its record is in the bucket, and the watch may not have delivered it. */
    point: async (alias: string, revision: number, keyId?: string, { wait = true } = {}) => {
      await owner.put({ kind: 'alias', id: alias, revision, alias, ...(keyId ? { keyId } : {}) });
      if (wait) await arrived(alias, revision);
    },
    arrived,
    /** A live session, as a request context that comes over it. */
    caller: async (more: Partial<SessionView> = {}): Promise<RequestContext & { record: SessionView }> => {
      const session = random22();
      const record: SessionView = {
        kind: 'session',
        id: session,
        revision: 1,
        session,
        principal: 'payments-api',
        method: 'token',
        mfa: true,
        authTime: new Date().toISOString(),
        chain: 'A'.repeat(43),
        ip: 'commitment-to-ip',
        issuedAt: new Date().toISOString(),
        expiresAt: new Date(Date.now() + 600_000).toISOString(),
        state: 'active',
        ...more,
      };
      await sessionsOwner.put(record, 600);
      return {
        record,
        subject: `claviger.v1.payments-api.${session}.crypto.x`,
        principal: 'payments-api',
        session,
        service: 'crypto',
        verb: 'x',
        trace: context.active(),
      };
    },
    revoke: (record: SessionView) => sessionsOwner.put({ ...record, revision: record.revision + 1, state: 'revoked' }, 600),
    sessions,
    /** AUDIT takes no message, or takes them again; everything else goes on. */
    blockAudit: (blocked: boolean) => jsm.streams.update('AUDIT', { max_msg_size: blocked ? 1 : -1 }),
    /** Records of this session, in order. */
    recordsOf: async (session: string): Promise<Line[]> => {
      const { state } = await jsm.streams.info('AUDIT');
      const lines: Line[] = [];
      for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
        const message = await jsm.streams.getMessage('AUDIT', { seq });
        for (const text of message?.string().split('\n') ?? []) lines.push(JSON.parse(text) as Line);
      }
      return lines.filter((l) => l.kind === 'operation' && l.session === session);
    },
    stop: async () => {
      breaker.stop();
      for (const part of [owner, sessionsOwner, keyView, sessions]) part.stop();
      await trail.commit.stop(5_000);
      await Promise.all([connection, keysOwner, policyOwner, provisioner].map((c) => c.close()));
      await broker.stop();
      token.close();
      await folder.remove();
    },
  };
}
export type Worker = Awaited<ReturnType<typeof startWorker>>;
