import { type Assignment, type Permit, tracesOf } from '@claviger/authz';
import {
  type Activity,
  type ActivityAnswer,
  type ActivityQuestion,
  activityLimits,
  internalOperations,
  type UseAsked,
} from '@claviger/contracts';
import { askInternal } from '@claviger/messaging';
import type { NatsConnection } from '@nats-io/transport-node';
import { type Context, ROOT_CONTEXT } from '@opentelemetry/api';

const timeoutMs = 8_000;
const unknown: Activity = { known: 'unknown' };

/** What the ledger says of one principal. */
export interface SeenOf {
  readonly session: Activity;
  /** By assignment id. */
  readonly uses: ReadonlyMap<string, Activity>;
}

/** When people last came, and last used what they have. Only the ledger knows; what it cannot say now is unknown. */
export class Activities {
  constructor(private readonly connection: NatsConnection) {}

  /** Never throws. `since`: RFC 3339. */
  async of(
    assignments: readonly Assignment[],
    permits: readonly Permit[],
    since: string,
    trace: Context = ROOT_CONTEXT,
  ): Promise<Map<string, SeenOf>> {
    const seen = new Map<string, SeenOf>();
    const questions = questionsOf(assignments, permits, since);
    for (let at = 0; at < questions.length; at += activityLimits.questions)
      for (const { principal, session, uses } of await this.ask(questions.slice(at, at + activityLimits.questions), trace)) {
        const before = seen.get(principal)?.uses ?? new Map<string, Activity>();
        seen.set(principal, { session, uses: new Map([...before, ...uses.map(({ id, activity }) => [id, activity] as const)]) });
      }
    return seen;
  }

  private async ask(questions: ActivityQuestion[], trace: Context): Promise<ActivityAnswer[]> {
    try {
      return (await askInternal(this.connection, internalOperations.lastActivities, { questions }, { timeoutMs, trace })).answers;
    } catch {
      return questions.map(({ principal, uses }) => ({
        principal,
        session: unknown,
        uses: uses.map(({ id }) => ({ id, activity: unknown })),
      }));
    }
  }
}

/** One or more for each principal. An assignment whose use leaves no trace is not asked about: it is unknown. */
function questionsOf(assignments: readonly Assignment[], permits: readonly Permit[], since: string): ActivityQuestion[] {
  return [...Map.groupBy(assignments, ({ principal }) => principal)].flatMap(([principal, held]) => {
    const uses = held.flatMap((assignment): UseAsked[] => {
      const traces = tracesOf(assignment, permits);
      if (!traces) return [];
      const { actions, policies, key } = traces;
      return [
        { id: assignment.id, actions: [...actions], ...(policies ? { policies: [...policies] } : {}), ...(key ? { keyId: key } : {}) },
      ];
    });
    const pages = Math.max(1, Math.ceil(uses.length / activityLimits.uses));
    return Array.from({ length: pages }, (_, page) => ({
      principal,
      since,
      uses: uses.slice(page * activityLimits.uses, (page + 1) * activityLimits.uses),
    }));
  });
}

export const activityOf = (seen: ReadonlyMap<string, SeenOf>, { principal, id }: Pick<Assignment, 'principal' | 'id'>): Activity =>
  seen.get(principal)?.uses.get(id) ?? unknown;
