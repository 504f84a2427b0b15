import {
  type Assignment,
  assignmentsOf,
  disabledIn,
  type Evaluator,
  guardChanges,
  type Keep,
  pathText,
  shortAfter,
  withoutAssignments,
} from '@claviger/authz';
import { type CloudEvent, cloudEvent, type PolicyBundle, type Staleness } from '@claviger/contracts';
import type { AuditTrail, RecordIntent } from '@claviger/messaging';
import { type OwedRecord, type OwedRecords, Repeated } from '@claviger/service';
import type { LoggerService } from '@nestjs/common';
import type { Activities } from './activities';
import type { BundleKeeper } from './bundle-keeper';
import { recordFurther } from './further-records';
import type { SignedStore } from './signed-store';
import { TamperedDocument } from './signed-store';
import { type Judged, judge, kept, login, type Notice, type Standing } from './staleness';

const claimMs = 300_000;
const dayMs = 86_400_000;
/** So many principals are looked at before what is due of all of them is taken away in one publication. */
const together = 100;
const iso = (ms: number) => new Date(ms).toISOString();
const who = { principal: 'policy', session: 'schedule', revisions: {} } as const;

interface Looked {
  readonly before: Standing;
  readonly judged: Judged;
  readonly held: readonly Assignment[];
}
type Stays = Notice & { readonly principal: string; readonly why: string; readonly short?: Keep & { readonly left: number } };

/**
 * Tells of access that nobody uses, and takes it away when the policies say so; each principal is looked at once a day, by one replica. What the ledger
 * cannot tell stays, and so does what the last people with a role have.
 */
export class UnusedAccess {
  private readonly repeated = new Repeated(
    () => this.sweepOnce(),
    (error) => this.parts.logger.warn(`access that nobody uses: ${String(error)}`),
  );
  private readonly nowMs: () => number;

  constructor(
    private readonly parts: {
      store: SignedStore<Standing>;
      owed: OwedRecords;
      bundles: Pick<BundleKeeper, 'amend'>;
      evaluator: Pick<Evaluator, 'current' | 'permits'>;
      activities: Activities;
      trail: AuditTrail;
      logger: LoggerService;
      nowMs?: () => number;
    },
  ) {
    this.nowMs = parts.nowMs ?? Date.now;
  }

  start(everyMs: number): void {
    this.repeated.start(everyMs);
  }

  stop(): Promise<void> {
    return this.repeated.stop();
  }

  sweep(): Promise<void> {
    return this.repeated.now();
  }

  private async sweepOnce(): Promise<void> {
    const bundle = this.parts.evaluator.current?.bundle;
    if (!bundle?.staleness) return;
    await this.watchAll(bundle);
    // What could not be recorded is not done.
    while (!this.repeated.stopped && this.parts.trail.commit.available) {
      const claimed = await this.claimed();
      if (claimed.length === 0) return;
      await this.lookAfter(claimed, bundle, bundle.staleness);
    }
  }

  /** From now on: nobody is taken for absent before being watched for so long. */
  private async watchAll({ principals }: PolicyBundle): Promise<void> {
    const { store } = this.parts;
    const watched = await store.ids();
    const now = iso(this.nowMs());
    for (const { id, disabled } of principals)
      if (!disabled && !watched.has(id)) await store.create({ id, revision: 1, watched: {}, checkedAt: now }, { dueAt: now });
  }

  private async claimed(): Promise<Standing[]> {
    const found: Standing[] = [];
    while (found.length < together) {
      const nowMs = this.nowMs();
      try {
        const standing = await this.parts.store.claim(iso(nowMs), iso(nowMs + claimMs));
        if (!standing) break;
        found.push(standing);
      } catch (error) {
        // It stays claimed for a while, is told where it is read, and its principal keeps what it has.
        if (!(error instanceof TamperedDocument)) throw error;
      }
    }
    return found;
  }

  private async lookAfter(claimed: readonly Standing[], bundle: PolicyBundle, staleness: Staleness): Promise<void> {
    const { store, activities, evaluator } = this.parts;
    const enabled = new Set(bundle.principals.flatMap(({ id, disabled }) => (disabled ? [] : [id])));
    for (const { id } of claimed) if (!enabled.has(id)) await store.delete(id);
    const there = claimed.filter(({ id }) => enabled.has(id));
    const ids = new Set(there.map(({ id }) => id));
    const nowMs = this.nowMs();
    const held = Map.groupBy(
      assignmentsOf(bundle).filter(({ principal, period }) => ids.has(principal) && period.fromMs <= nowMs && nowMs < period.untilMs),
      ({ principal }) => principal,
    );
    const asked = there.map(({ id }) => ({ principal: id, held: held.get(id) ?? [] }));
    const since = iso(nowMs - staleness.noticeDays * dayMs);
    const seen = await activities.ofEach(asked, evaluator.permits(), since);
    const looked = there.map((before): Looked => {
      const own = held.get(before.id) ?? [];
      return { before, held: own, judged: judge(before, before.id, own, seen.get(before.id), staleness, nowMs) };
    });
    const stays = await this.takeAway(looked);
    for (const one of looked)
      await this.save(
        one,
        stays.filter(({ principal }) => principal === one.before.id),
      );
  }

  /** All that is due, in one publication; what must stay is given back. */
  private async takeAway(looked: readonly Looked[]): Promise<Stays[]> {
    const due = looked.flatMap(({ before, held, judged }) => judged.removals.map((notice) => ({ ...notice, principal: before.id, held })));
    if (due.length === 0) return [];
    const { bundles, trail, logger } = this.parts;
    let stays: Stays[] = [];
    let further: RecordIntent[] = [];
    let events: CloudEvent[] = [];
    const published = await bundles.amend(
      (bundle) => {
        stays = [];
        further = [];
        events = [];
        let next = bundle;
        for (const one of due) {
          const taken = one.held.filter(({ id }) => id === one.what);
          const without = one.what === login ? disabledIn(next, new Set([one.principal])) : withoutAssignments(next, taken);
          const [short] = shortAfter(next, without, bundle.staleness?.keep);
          if (short) stays.push({ ...one, short, why: keptText(short) });
          else if (approves(next, one.principal) && guardChanges(bundle, without, this.nowMs()).length > 0)
            stays.push({ ...one, why: 'too few would be left to approve what policies ask approval for' });
          else if (bundle.staleness) {
            next = without;
            const detail = detailOf(one, taken);
            further.push(trail.intend({ ...who, action: 'access:RemoveUnused', reason: detail, revision: bundle.revision + 1 }));
            events.push(eventOf('io.claviger.access.removed', one, this.nowMs(), { detail }));
          }
        }
        return further.length > 0 ? next : undefined;
      },
      ({ revision }) =>
        trail.intend({ ...who, action: 'policy:Publish', reason: `${further.length} taken away that nobody uses`, revision }),
      // What needs the approval of people is left out above.
      () => undefined,
      () => ({ further, events }),
    );
    if (!published) return stays;
    for (const { entry } of further) logger.log(entry.reason ?? '');
    await recordFurther(trail, [published.intent, ...further], [published.recorded, ...published.furtherRecorded], logger);
    return stays;
  }

  private async save({ before, judged, held }: Looked, stays: readonly Stays[]): Promise<void> {
    const { store, owed, trail, logger } = this.parts;
    const nowMs = this.nowMs();
    const told = stays.filter(({ what }) => before.watched[what]?.keptAt === undefined);
    const notices = judged.notices.map((notice) => ({ ...notice, principal: before.id }));
    const said = (one: Notice & { principal: string }) =>
      detailOf(
        one,
        held.filter(({ id }) => id === one.what),
      );
    const entries = [
      ...notices.map((one) => ({ action: 'access:NoticeUnused', reason: `${said(one)}; it is taken away at ${one.at}` })),
      ...told.map((one) => ({ action: 'access:KeepLastHolder', reason: `${said(one)}; it stays, since ${one.why}` })),
    ];
    const events = [
      ...notices.map((one) => eventOf('io.claviger.access.unused', one, nowMs, { detail: said(one), at: one.at })),
      ...told.map((one) =>
        eventOf('io.claviger.access.kept', one, nowMs, {
          detail: said(one),
          ...(one.short ? { role: one.short.role, left: one.short.left } : {}),
        }),
      ),
    ];
    let owing: { intent: RecordIntent; record: OwedRecord }[] = [];
    await store.change(before.id, ({ revision }) => {
      owing = entries.map((entry) => {
        const intent = trail.intend({ ...who, ...entry, revision: revision + 1 });
        return { intent, record: owed.owe(before.id, intent) };
      });
      const value = kept(
        { ...judged.standing, revision },
        stays.map(({ what }) => what),
        iso(nowMs),
      );
      return { value, dueAt: iso(nowMs + dayMs), events, owed: owing.map(({ record }) => record) };
    });
    for (const { action, reason } of entries) logger.log(`${action}: ${reason}`);
    await recordFurther(
      trail,
      owing.map(({ intent }) => intent),
      owing.map(
        ({ record }) =>
          () =>
            owed.settle(before.id, record),
      ),
      logger,
    );
  }
}

const detailOf = ({ principal, what, since }: Notice & { principal: string }, [taken]: readonly Assignment[]): string =>
  what === login
    ? `${principal} did not come since ${since}`
    : `${what}${taken ? ` (${pathText(taken)})` : ''} was not used since ${since}`;

const approves = ({ principals }: PolicyBundle, id: string): boolean =>
  (principals.find((principal) => principal.id === id)?.approvalKeys?.length ?? 0) > 0;

const keptText = (short: Keep & { readonly left: number }): string =>
  `${short.left} people would be left with the role ${short.role}, and ${short.atLeast} must be`;

type AccessEvent = 'io.claviger.access.unused' | 'io.claviger.access.removed' | 'io.claviger.access.kept';
/** Its id is the same however often it is told. */
function eventOf(type: AccessEvent, { principal, what, since }: Notice & { principal: string }, nowMs: number, more: object): CloudEvent {
  const data = { principal, ...(what === login ? {} : { assignment: what }), since, ...more } as CloudEvent<AccessEvent>['data'];
  const id = `${type.split('.').at(-1)}.${principal}.${what}.${since}`;
  return cloudEvent(type, { id, source: 'claviger/policy', time: iso(nowMs), subject: principal, data });
}
