import {
  backupHsmOperations,
  internalOperations,
  type JobFailure,
  type KeyKind,
  type KeysView,
  limits,
  ProblemError,
  type WrappedKey,
} from '@claviger/contracts';
import { type AuditTrail, askInternal, type KvView } from '@claviger/messaging';
import type { NatsConnection } from '@nats-io/transport-node';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import type { Assurance } from './assurance';
import type { BackupStore } from './backup-store';
import type { CurrentKeks } from './current-keks';
import type { Delivery } from './delivery';
import { type MoveEpochKey, moveEpochs } from './epoch-moves';
import { destroyKek, isLiving, type Kek, type LivingKek, type Pair, retireKek, rewrappedKek, toldKek } from './kek';
import type { KekStore } from './kek-store';
import type { Key } from './key';
import { rewrappedKey, versionsUnder } from './key-rewrap';
import type { KeyPage, KeyStore } from './key-store';
import type { RewrapChanges } from './rewrap-changes';
import {
  failedJob,
  finished,
  isLast,
  kekGeneration,
  type PageOutcome,
  pageDone,
  prepared,
  type RewrapJob,
  settling,
  superseded,
} from './rewrap-job';
import { currentRoot, generationOfRoot, nameOf, newRoot, placedRoot, type Root, retireRoot } from './root';
import type { Roots } from './roots';
import { assertLeaves, type Destination, destinationOf, kindsOf, refusals, staying } from './token-migration';
import type { TokenSurvey } from './token-survey';
import type { WrappingGuard } from './wrapping-guard';

const hsmTimeoutMs = 30_000;
/** So long a worker may take the order to make a root. Who heard no answer asks again after it: no root is made twice. */
const createRootMs = 5_000;
const keksOfOneRequest = 16;

export interface RewrapParts {
  connection: NatsConnection;
  store: KeyStore;
  keks: KekStore;
  epochs: Pick<BackupStore, 'allEpochs' | 'changeEpoch'>;
  roots: Roots;
  currentKeks: CurrentKeks;
  delivery: Delivery;
  changes: RewrapChanges;
  trail: AuditTrail;
  view: Pick<KvView<KeysView>, 'every' | 'trusted' | 'fresh'>;
  guard: Pick<WrappingGuard, 'assertNoRestore'>;
  survey: Pick<TokenSurvey, 'of'>;
  assurance: Pick<Assurance, 'allowed'>;
  nowMs?: () => number;
}

/** One item that goes to the HSM: a version of a key. */
interface Item {
  key: Key;
  version: number;
  material: WrappedKey;
}

/**
 * The steps of a job. Each is done in full or done again: what a step made before its process ended, the next one finds there. What it throws says that
 * nothing can be done now.
 */
export class RewrapSteps {
  constructor(private readonly parts: RewrapParts) {}

  /** The job after its next step, which reads at most `size` documents that may have to be rewrapped, or `scan` that have not. */
  async next(asked: RewrapJob, { size, scan }: { size: number; scan: number }): Promise<RewrapJob> {
    const { job, waits } = isLast(asked) ? settling(asked, this.now()) : { job: asked, waits: false };
    if (waits) return job;
    // What the workers have is proof that the store has it all: one that is not read through proves nothing.
    if (isLast(job) && !this.parts.view.fresh()) throw new ProblemError('ERR_STATE_STALE', 'What the workers have is not known just now.');
    if (isLast(job)) await this.parts.guard.assertNoRestore();
    switch (job.phase) {
      case 'checking':
        return this.check(job, scan);
      case 'preparing':
        return job.kind === 'rotate-kek' ? this.prepareKek(job) : this.prepareRoot(job);
      case 'rewrapping':
      case 'verifying':
        return job.kind === 'rotate-kek' ? this.keyPage(job, size, scan) : this.allKeks(job);
      case 'destroying':
        return this.destroyKeks(job);
    }
  }

  private async prepareKek(job: RewrapJob): Promise<RewrapJob> {
    const { keks, currentKeks, delivery, store } = this.parts;
    const pair = job as Pair;
    const before = await keks.ofPair(pair);
    const to = before.find(({ kekId }) => kekId === job.to) ?? (await currentKeks.make(pair, kekGeneration(job), ROOT_CONTEXT));
    await delivery.putKek(to);
    const from: string[] = [];
    let total = 0;
    for (const { kekId } of before.filter((kek) => kek.kekId !== job.to && isLiving(kek))) {
      await delivery.putKek(await keks.change(kekId, (kek) => retireKek(kek, this.now())));
      from.push(kekId);
      total += await store.countUnder(kekId);
    }
    const now = this.now();
    return prepared(job, { from, total, currentSince: now }, now);
  }

  private async prepareRoot(job: RewrapJob): Promise<RewrapJob> {
    const { roots, keks } = this.parts;
    const all = await roots.all();
    const made = all.find(({ label }) => label === job.to);
    const trouble = made ? elsewhere(made, job) : await this.makeRoot(job);
    // Nothing was changed: whoever asks again begins anew.
    if (trouble) return failedJob({ ...job, phase: job.kind === 'migrate-token' && !made ? 'checking' : job.phase }, trouble, this.now());
    const from: string[] = [];
    for (const { label } of all.filter((root) => isOlder(root.label, job.to) && root.state !== 'destroyed')) {
      await roots.change(label, (root) => retireRoot(root, this.now()));
      from.push(label);
    }
    const now = this.now();
    const total = (await keks.all()).filter((kek) => isUnderOlder(kek, job.to)).length;
    return prepared(job, { from, total, currentSince: now }, now);
  }

  /** Where the current one is, or in the token that all go to. Gives what no waiting mends: then there is none. */
  private async makeRoot(job: RewrapJob): Promise<Trouble | undefined> {
    const { connection, roots } = this.parts;
    const label = job.to;
    const to = job.kind === 'migrate-token' ? await this.destination(job) : undefined;
    if (to && 'trouble' in to) return to.trouble;
    // Workers may get another first token as soon as there is a root in it: it has to be said before where the roots are that they have.
    const { first } = to ?? {};
    if (first !== undefined) for (const root of await roots.all()) await roots.change(root.label, (one) => placedRoot(one, first));
    const current = currentRoot(await roots.all());
    const token = to?.token ?? current.token;
    const until = new Date(Date.now() + createRootMs).toISOString();
    // Past `until` nobody makes it any more; a worker that did not answer in time may have.
    const options = { timeoutMs: createRootMs + limits.clockSkewSeconds * 1_000, trace: ROOT_CONTEXT };
    const order = { label, until, ...(token === undefined ? {} : { token }), ...(to ? { rehearse: nameOf(current) } : {}) };
    try {
      await askInternal(connection, internalOperations.createRoot, order, options);
    } catch (error) {
      if (to && error instanceof ProblemError && !error.retryable) return troubleOf(error);
      throw error;
    }
    await roots.insert(newRoot(label, this.now(), token));
    return undefined;
  }

  /** Whether every key can be used where it is to go. Nothing is changed before that is known of all. */
  private async check(job: RewrapJob, scan: number): Promise<RewrapJob> {
    const page = await this.parts.store.list(job.pass.after, scan);
    const to = await this.destination(job, kindsOf(page.keys));
    if ('trouble' in to) return failedJob(job, to.trouble, this.now());
    const failures = refusals(page.keys, to, (key) => this.mayBeIn(job.token as string, key));
    const outcome = { read: page.keys.length, found: 0, done: 0, conflicts: 0, failures, unread: page.unread.length, next: page.next };
    const left = currentRoot(await this.parts.roots.all()).token ?? to.first;
    const before = job.pass.after === undefined ? 0 : (job.stays ?? 0);
    return pageDone({ ...job, stays: before + staying(page.keys, left) }, outcome, this.now());
  }

  private mayBeIn(token: string, key: Key): boolean {
    try {
      const { tokens } = this.parts.assurance.allowed(key);
      return tokens === undefined || tokens.includes(token);
    } catch {
      // None on record is good enough for it.
      return false;
    }
  }

  /** Of a migration. A worker that lacks the token, or fails to reach it, is waited for; what no waiting mends is told. */
  private async destination(job: RewrapJob, kinds: KeyKind[] = []): Promise<Destination | { trouble: Trouble }> {
    try {
      const to = await this.everyWorkerReaches(job, kinds);
      assertLeaves(await this.parts.roots.all(), to);
      return to;
    } catch (error) {
      if (error instanceof ProblemError && !error.retryable) return { trouble: troubleOf(error) };
      throw error;
    }
  }

  private async everyWorkerReaches({ token }: RewrapJob, kinds: KeyKind[] = []): Promise<Destination> {
    return destinationOf(token as string, await this.parts.survey.of(token as string, kinds));
  }

  private async keyPage(job: RewrapJob, size: number, scan: number): Promise<RewrapJob> {
    const { store } = this.parts;
    const { after, index } = job.pass;
    const under = job.from[index];
    const indexed = job.phase === 'rewrapping';
    // Without a KEK before it there is nothing to look for in the index.
    const page: KeyPage =
      indexed && under === undefined
        ? { keys: [], misindexed: [], unread: [], next: undefined }
        : await store.list(after, indexed ? size : scan, indexed ? { kek: under } : {});
    const from = new Set(job.from);
    const found = page.keys.filter((key) => versionsUnder(key, from).length > 0);
    const to = found.length > 0 ? await this.parts.keks.get(job.to) : undefined;
    if (found.length > 0 && to?.state !== 'active') return superseded(job, to?.state ?? 'not there', this.now());
    const outcome: PageOutcome = {
      read: page.keys.length,
      found: 0,
      done: 0,
      conflicts: 0,
      failures: [],
      unread: page.unread.length,
      next: page.next,
    };
    for (let begin = 0; begin < found.length; begin += size) {
      const some = await this.rewrap(found.slice(begin, begin + size), job);
      outcome.found += some.found;
      outcome.done += some.done;
      outcome.conflicts += some.conflicts;
      outcome.failures.push(...some.failures);
    }
    return pageDone(job, outcome, this.now());
  }

  private async rewrap(keys: readonly Key[], job: RewrapJob): Promise<Pick<PageOutcome, 'found' | 'done' | 'conflicts' | 'failures'>> {
    const to = await this.living(job.to);
    const items = keys.flatMap((key) => versionsUnder(key, new Set(job.from)).map((version) => ({ key, ...version })));
    const made = new Map<string, Map<number, WrappedKey>>();
    const failures = new Map<string, JobFailure>();
    for (const some of requestsOf(items)) {
      const from = await Promise.all([...new Set(some.map(({ material }) => material.kekId))].map((kekId) => this.living(kekId)));
      const answer = await askInternal(
        this.parts.connection,
        internalOperations.rewrapKeys,
        {
          from: from.map(named),
          to: named(to),
          ...this.parts.assurance.allowed(to),
          keys: some.map(({ key: { algorithm, residency }, material: { kekId, mechanism, wrapped } }) => ({
            ...{ algorithm, kekId, mechanism, wrapped },
            ...(residency ? { residency } : {}),
          })),
        },
        { timeoutMs: hsmTimeoutMs, trace: ROOT_CONTEXT },
      );
      for (const [i, { key, version }] of some.entries()) {
        const one = answer.keys[i];
        if (!one || 'code' in one) {
          const { code, detail } = one ?? { code: 'ERR_INTERNAL' as const, detail: 'no answer' };
          failures.set(key.keyId, { id: key.keyId, code, detail: `version ${version}: ${detail}` });
        } else made.set(key.keyId, (made.get(key.keyId) ?? new Map<number, WrappedKey>()).set(version, one));
      }
    }
    const changes = keys.flatMap((key) => {
      const versions = made.get(key.keyId);
      return versions ? [{ from: key, to: rewrappedKey(key, versions) }] : [];
    });
    const changed = await this.parts.changes.make(changes, job.jobId);
    const whole = [...changed].filter((keyId) => !failures.has(keyId)).length;
    return { found: keys.length, done: whole, conflicts: changes.length - changed.size, failures: [...failures.values()] };
  }

  /** There are few KEKs: all of them are one page. */
  private async allKeks(job: RewrapJob): Promise<RewrapJob> {
    const { connection, keks } = this.parts;
    const all = await keks.all();
    const found = all.filter((kek): kek is LivingKek => isUnderOlder(kek, job.to));
    const to = (await this.parts.roots.all()).find(({ label }) => label === job.to);
    if (found.length > 0 && to?.state !== 'active') return superseded(job, to?.state ?? 'not there', this.now());
    // Also days after it was checked: workers that were started since may lack the token, and a KEK that is there is of no use to them.
    if (found.length > 0 && job.kind === 'migrate-token') await this.everyWorkerReaches(job);
    const outcome: PageOutcome = { read: all.length, found: found.length, done: 0, conflicts: 0, failures: [], unread: 0, next: undefined };
    let trouble: unknown;
    for (const { kekId, material: under, ...pair } of found) {
      try {
        const only = this.parts.assurance.allowed(pair);
        const options = { timeoutMs: hsmTimeoutMs, trace: ROOT_CONTEXT };
        const order = { material: under, ...nameOf(to as Root), ...only };
        const material = await askInternal(connection, internalOperations.rewrapKek, order, options);
        // Another one that was made of it meanwhile: it is found in the next pass.
        const kek = await keks.change(kekId, (one) =>
          isLiving(one) && one.material.wrapped === under.wrapped ? rewrappedKek(one, material, job.jobId) : one,
        );
        await this.tell(kek, job);
        if (kek.material?.rootLabel !== job.to) outcome.conflicts++;
        if (kek.material?.rootLabel === job.to) outcome.done++;
      } catch (error) {
        if (!(error instanceof ProblemError)) throw error;
        // Its worker answered: others may open.
        if (error.code === 'ERR_HSM_UNAVAILABLE') trouble ??= error;
        else if (error.retryable) throw error;
        else outcome.failures.push({ id: kekId, code: error.code, detail: error.detail ?? error.message });
      }
    }
    if (trouble !== undefined) throw trouble;
    if (job.phase === 'verifying' && found.length === 0) {
      await this.tellAll(all, job);
      // Of backups: nobody may need the token that is left once the job is done.
      const failures = await this.epochsFollow(job);
      outcome.found += failures.length;
      outcome.failures.push(...failures);
    }
    return pageDone(job, outcome, this.now());
  }

  private async epochsFollow(job: RewrapJob): Promise<JobFailure[]> {
    const { connection, epochs, roots } = this.parts;
    const options = { timeoutMs: hsmTimeoutMs, trace: ROOT_CONTEXT };
    const move: MoveEpochKey = (epochKey, root) =>
      askInternal(connection, backupHsmOperations.moveEpochKey, { epochKey, ...root }, options);
    return moveEpochs({ epochs, roots: await roots.all(), move }, (label) => isOlder(label, job.to));
  }

  /** What a process that ended, or failed, had changed and not told: the workers, and the ledger, have it before the job is done. */
  private async tellAll(all: readonly Kek[], job: RewrapJob): Promise<void> {
    for (const kek of all) if (isLiving(kek) && kek.material.rootLabel === job.to) await this.tell(kek, job);
  }

  private async tell(kek: Kek, job: RewrapJob): Promise<void> {
    const { keks, delivery } = this.parts;
    await delivery.putKek(kek);
    if (kek.rewrappedBy !== job.jobId) return;
    await this.recordKek('keys:RewrapKek', kek, job);
    await keks.change(kek.kekId, (one) => (one.rewrappedBy === job.jobId ? toldKek(one) : one));
  }

  /** Also what the workers have must not be under them: a key that they have and the store has not may be put back there. */
  private async destroyKeks(job: RewrapJob): Promise<RewrapJob> {
    const { keks, delivery, view } = this.parts;
    const from = new Set(job.from);
    if (!view.trusted()) throw new ProblemError('ERR_STATE_STALE', 'What the workers have is not read yet.');
    for await (const record of view.every())
      if (record.kind === 'key' && record.versions.some(({ material }) => material?.custody === 'wrapped' && from.has(material.kekId)))
        throw new ProblemError('ERR_STATE_STALE', `Workers have key ${record.keyId} under an old KEK: the store has it not, or later.`);
    for (const kekId of job.from) {
      const kek = await keks.change(kekId, (one) => destroyKek(one, this.now()));
      await delivery.putKek(kek);
      await this.recordKek('keys:DestroyKek', kek, job);
    }
    return finished(job, this.now());
  }

  /** Its id says what it is of: written again after a crash, it is the same record. */
  private async recordKek(action: string, { kekId, revision }: Kek, { jobId }: RewrapJob): Promise<void> {
    const entry = { action, principal: 'key-lifecycle', session: 'job', keyId: kekId, reason: jobId, outcome: 'success' as const };
    await this.parts.trail.operation({ ...entry, revisions: { key: revision } }, `${jobId}.${action}.${kekId}`);
  }

  private now(): string {
    return new Date((this.parts.nowMs ?? Date.now)()).toISOString();
  }

  private async living(kekId: string): Promise<LivingKek> {
    const kek = await this.parts.keks.get(kekId);
    if (!kek || !isLiving(kek)) throw new ProblemError('ERR_KEY_STATE', `${kekId} is ${kek ? kek.state : 'not there'}.`);
    return kek;
  }
}

type Trouble = Pick<JobFailure, 'code' | 'detail'>;
const elsewhere = ({ label, token }: Root, job: RewrapJob): Trouble | undefined =>
  job.kind === 'migrate-token' && token !== job.token
    ? { code: 'ERR_CONFLICT', detail: `There is a root ${label} in another token than ${job.token}.` }
    : undefined;
const troubleOf = (error: ProblemError): Trouble => {
  const { code, detail } = error.toProblem();
  return { code, detail };
};
const named = ({ kekId, material }: LivingKek) => ({ kekId, material });
/** Also one whose label says nothing: what is under it has to come under another. */
const isOlder = (label: string, than: string): boolean => !(generationOfRoot(label) >= generationOfRoot(than));
const isUnderOlder = (kek: Kek, root: string): kek is LivingKek => isLiving(kek) && isOlder(kek.material.rootLabel, root);

/** As many as fit one request: so many items, so many characters, so many KEKs. */
function* requestsOf(items: readonly Item[]): Generator<Item[]> {
  let some: Item[] = [];
  let chars = 0;
  let keks = new Set<string>();
  for (const item of items) {
    const { wrapped, kekId } = item.material;
    const full = some.length === limits.batchItems || chars + wrapped.length > limits.rewrapChars;
    if (full || (keks.size === keksOfOneRequest && !keks.has(kekId))) {
      yield some;
      [some, chars, keks] = [[], 0, new Set()];
    }
    some.push(item);
    chars += wrapped.length;
    keks.add(kekId);
  }
  if (some.length > 0) yield some;
}
