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

interface Asked {
  readonly principal: string;
  readonly held: readonly Assignment[];
}

/** When people last came, and last used what they have. Only the ledger knows; what it cannot say now is unknown. */
export class Activities {
  constructor(private readonly connection: NatsConnection) {}

  /** As `ofEach`, of those who have these. */
  of(assignments: readonly Assignment[], permits: readonly Permit[], since: string, trace?: Context): Promise<Map<string, SeenOf>> {
    const each = Map.groupBy(assignments, ({ principal }) => principal);
    return this.ofEach(
      [...each].map(([principal, held]) => ({ principal, held })),
      permits,
      since,
      trace,
    );
  }

  /** By principal; who has nothing is asked about as well. Never throws. `since`: RFC 3339. */
  async ofEach(
    asked: readonly Asked[],
    permits: readonly Permit[],
    since: string,
    trace: Context = ROOT_CONTEXT,
  ): Promise<Map<string, SeenOf>> {
    const seen = new Map<string, SeenOf>();
    const questions = asked.flatMap((one) => questionsOf(one, permits, since));
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

/** One or more. An assignment whose use leaves no trace is not asked about: it is unknown. */
function questionsOf({ principal, held }: Asked, permits: readonly Permit[], since: string): ActivityQuestion[] {
  const uses = held.flatMap((assignment): UseAsked[] => {
    const traces = tracesOf(assignment, permits);
    if (!traces) return [];
    const { actions, policies, key } = traces;
    return [{ id: assignment.id, actions: [...actions], ...(policies ? { policies: [...policies] } : {}), ...(key ? { keyId: key } : {}) }];
  });
  const size = activityLimits.uses;
  const pages = Math.max(1, Math.ceil(uses.length / size));
  return Array.from({ length: pages }, (_, page) => ({ principal, since, uses: uses.slice(page * size, (page + 1) * size) }));
}

export const activityOf = (seen: ReadonlyMap<string, SeenOf>, { principal, id }: Pick<Assignment, 'principal' | 'id'>): Activity =>
  seen.get(principal)?.uses.get(id) ?? unknown;
