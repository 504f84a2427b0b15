import { createHash } from 'node:crypto';
import type { ComplianceReport, ControlReport, Gap, PackReport, RegulationPack } from '@claviger/contracts';
import { dayMs } from './observed';

/** What the report before knew, so that the time to close a gap begins when it was first seen and does not slide. */
export type Before = Pick<ComplianceReport, 'gaps'>;

type Found = Pick<Gap, 'kind' | 'object' | 'what' | 'owner'> & Partial<Pick<Gap, 'name' | 'next'>> & { readonly of: string };

/** Everything that is to be done about one control. */
function* found({ checks, status, statement, manual, ownerRole }: ControlReport): Generator<Found> {
  for (const { check, asks, outcome, why, failures, failed } of checks) {
    for (const { object, name, owner = ownerRole, why: what, next } of failures)
      yield {
        of: check,
        kind: 'failed',
        object,
        what,
        owner,
        ...(name === undefined ? {} : { name }),
        ...(next === undefined ? {} : { next }),
      };
    if (failed > failures.length)
      yield { of: check, kind: 'failed', object: 'more', what: `${failed - failures.length} more: ${asks}`, owner: ownerRole };
    // What was not read is a gap of its own, also where something failed in what was.
    if (why !== undefined)
      yield {
        of: check,
        kind: 'unknown',
        object: check,
        what: `whether ${asks}: ${why}`,
        owner: ownerRole,
        next: 'make it readable, and report again',
      };
    else if (outcome === 'unknown') yield { of: check, kind: 'unknown', object: check, what: `whether ${asks}`, owner: ownerRole };
  }
  if (manual !== undefined && !statement)
    yield {
      of: 'manual',
      kind: 'manual',
      object: 'statement',
      what: manual,
      owner: ownerRole,
      ...(status === 'manual' ? { next: 'claviger compliance report --statements FILE' } : {}),
    };
}

/** Gaps of a pack, with owner and due date. */
export function gapsOf(
  pack: Pick<RegulationPack, 'id' | 'dueDays'>,
  controls: readonly ControlReport[],
  before: Before | undefined,
  nowMs: number,
): Gap[] {
  const known = new Map((before?.gaps ?? []).map((gap) => [gap.id, gap]));
  const now = new Date(nowMs).toISOString();
  const gaps = new Map<string, Gap>();
  for (const control of controls)
    for (const { of, ...one } of found(control)) {
      const { id: controlId, severity } = control;
      // Of one check of one object there may be several: they are told apart by their order, not by a text that holds a number of days.
      const name = [pack.id, controlId, of, one.kind, one.object];
      let id = gapId(name);
      for (let n = 1; gaps.has(id); n++) id = gapId([...name, String(n)]);
      const firstSeen = known.get(id)?.firstSeen ?? now;
      const due = new Date(Date.parse(firstSeen) + pack.dueDays[severity] * dayMs).toISOString().slice(0, 10);
      gaps.set(id, { id, pack: pack.id, control: controlId, severity, ...one, firstSeen, due, overdue: now.slice(0, 10) > due });
    }
  return [...gaps.values()];
}

const gapId = (parts: readonly string[]): string => `gap-${createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16)}`;

/** What was a gap before and is none now. Of packs that this report is not about nothing is said. */
export const closedSince = (
  before: Before | undefined,
  gaps: readonly Gap[],
  packs: readonly Pick<PackReport, 'id'>[],
): ComplianceReport['closed'] => {
  const open = new Set(gaps.map(({ id }) => id));
  const about = new Set(packs.map(({ id }) => id));
  return (before?.gaps ?? []).flatMap(({ id, pack, control, what, firstSeen }) =>
    about.has(pack) && !open.has(id) ? [{ id, control, what, firstSeen }] : [],
  );
};
