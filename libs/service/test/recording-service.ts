import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { type Decision, Gate, type GatePorts, type QuotaGate } from '@claviger/authz';
import { policyOperations, type SessionsView, type SessionView, sessionIn } from '@claviger/contracts';
import { parseBatch } from '@claviger/ledger';
import { AuditTrail, KvOwner, openSessionsView, type RequestContext, recordTypes, revisionReader } from '@claviger/messaging';
import { startBroker, temporaryFolder, until } from '@claviger/testing';
import { jetstreamManager } from '@nats-io/jetstream';
import { context } from '@opentelemetry/api';
import { type ApprovedChanges, RecordedReply } from '../src/index';

export type Line = Record<string, unknown> & { kind: string };
export const operation = policyOperations.show;

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const random22 = () => Array.from(randomBytes(22), (byte) => alphabet[byte % alphabet.length]).join('');
const newKey = () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  return { publicKey, spki, es256: (input: Buffer) => sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' }) };
};

/** What every service answers with: real broker, permissions, sessions bucket and AUDIT. Batches are sealed with keys in software; what policy says is said by the test. */
export async function startRecordingService() {
  const folder = await temporaryFolder('service-spec');
  const broker = await startBroker({ dir: folder.path });
  const [connection, provisioner] = await Promise.all([broker.connection('policy'), broker.connection('provisionerCore')]);
  const jsm = await jetstreamManager(provisioner);
  const control = newKey();
  const trusted = new Map([['control-1', control.publicKey]]);
  const signer = { kid: 'control-1', sign: control.es256 };

  const sessions = openSessionsView({ connection, holder: 'policy.test', trusted, onRefused: () => undefined });
  const owner = new KvOwner<SessionsView>(connection, 'sessions', recordTypes.sessions, signer, revisionReader('sessions', trusted));
  await Promise.all([owner.start(), sessions.start()]);
  await until(() => sessions.proven(), { what: 'the view to be proven' });
  owner.keepMark(sessions);
  await Promise.all([owner.sign(sessions), sessions.whenFresh()]);

  const batchKey = newKey();
  // Not what is proved here: a signature of the right length, though over the digest's digest.
  const openEpoch = () => ({ batchPublicKey: batchKey.spki, signBatch: batchKey.es256, certifier: 'certifier', certify: batchKey.es256 });
  const trail = new AuditTrail({ connection, service: 'policy', worker: 'p-test', openEpoch });
  const said: { decision: Decision } = { decision: { kind: 'allow', code: 'permitted', policyIds: ['p1'], reason: 'test' } };
  const evaluator = { decide: () => said.decision, current: { bundle: { revision: 3 } as never, hash: '' } };
  const gateWith = (quotas?: QuotaGate, by: GatePorts['evaluator'] = evaluator) =>
    new Gate({ sessions, policy: { fresh: () => true }, evaluator: by, ...(quotas ? { quotas } : {}) });

  return {
    broker,
    trail,
    said,
    sessions,
    replies: new RecordedReply(gateWith(), trail),
    /** Policy is said by `by` where it is given; what was approved, by `changes`. */
    repliesWith: (quotas: QuotaGate, by?: GatePorts['evaluator'], changes?: Pick<ApprovedChanges, 'open' | 'demand'>) =>
      new RecordedReply(gateWith(quotas, by), trail, undefined, changes),
    /** A session, and a request that comes over it. */
    caller: async (more: Partial<SessionView> = {}): Promise<RequestContext & { record: SessionView }> => {
      const session = random22();
      const record: SessionView = {
        kind: 'session',
        id: session,
        revision: 1,
        session,
        principal: 'sofia',
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
      await owner.put(record, 600);
      return { record, subject: '', principal: 'sofia', session, service: 'policy', verb: 'show', trace: context.active() };
    },
    /** Until this process knows it. */
    revoke: async (record: SessionView) => {
      await owner.put({ ...record, revision: record.revision + 1, state: 'revoked' }, 600);
      await until(() => sessionIn(sessions.get(record.id))?.state === 'revoked', { what: 'the revocation' });
    },
    /** AUDIT takes no message, or takes them again; everything else goes on. */
    blockAudit: (blocked: boolean) => jsm.streams.update('AUDIT', { max_msg_size: blocked ? 1 : -1 }),
    /** Everything in AUDIT, in order, with the place that a receipt names. */
    lines: async (): Promise<(Line & { at: { seq: number; epoch: string; batchHash: string; index: number } })[]> => {
      const { state } = await jsm.streams.info('AUDIT');
      const found = [];
      for (let at = Math.max(1, state.first_seq); at <= state.last_seq; at++) {
        const message = await jsm.streams.getMessage('AUDIT', { seq: at });
        const { lines, seal, batchHash } = parseBatch(Buffer.from(message!.data));
        const place = { seq: seal.seq, epoch: seal.epoch, batchHash: batchHash.toString('base64url') };
        found.push(...lines.map((line, index) => ({ ...(JSON.parse(line.toString()) as Line), at: { ...place, index } })));
      }
      return found;
    },
    stop: async () => {
      owner.stop();
      sessions.stop();
      await trail.commit.stop(1_000);
      await Promise.all([connection.close(), provisioner.close()]);
      await broker.stop();
      await folder.remove();
    },
  };
}
export type RecordingService = Awaited<ReturnType<typeof startRecordingService>>;
