import { type Group, groupIn, groupName, groupPrefix } from '@claviger/contracts';
import { each, type Work } from './steps';

/** How a principal is in a group: from the group that lists it to the group asked about, by names. */
export type MembershipPath = readonly string[];
/** Every group that a principal is in, directly or through member groups, by a shortest path. */
export type Memberships = ReadonlyMap<string, MembershipPath>;

const none: Memberships = new Map();

/** Finds the memberships of a principal. A cycle, which no valid bundle has, ends where it closes. */
export function membershipsOf(groups: readonly Group[]): (principalId: string) => Memberships {
  /** By principal id or group reference: the names of the groups that list it. */
  const listedIn = new Map<string, string[]>();
  for (const group of groups)
    for (const member of new Set(group.members)) {
      const names = listedIn.get(member);
      if (names) names.push(groupName(group));
      else listedIn.set(member, [groupName(group)]);
    }
  return (principalId) => {
    const direct = listedIn.get(principalId);
    if (!direct) return none;
    const found = new Map<string, MembershipPath>(direct.map((name) => [name, [name]]));
    for (const [name, path] of found)
      for (const above of listedIn.get(`${groupPrefix}${name}`) ?? []) if (!found.has(above)) found.set(above, [...path, above]);
    return found;
  };
}

const walkedTogether = 10_000;

/** The groups of one cycle, in order, the first one again at the end; undefined when there is none. Each group and each of its members is looked at once. */
export function* membershipCycle(groups: readonly Group[]): Work<readonly string[] | undefined> {
  const below = new Map<string, readonly string[]>();
  yield* each(groups, 10, (group) => below.set(groupName(group), [...new Set(group.members.flatMap((member) => groupIn(member) ?? []))]));
  const done = new Set<string>();
  let walked = 0;
  for (const start of below.keys()) {
    /** The way, as a set and in order: whether a group is on the way is asked for each member. */
    const path = new Set<string>();
    const order: string[] = [];
    const left: string[][] = [[start]];
    // Walked without recursion: how deep groups lie in groups is up to whoever writes them.
    while (left.length > 0) {
      if (++walked % walkedTogether === 0) yield undefined;
      const next = left.at(-1)!.pop();
      if (next === undefined) {
        left.pop();
        const finished = order.pop();
        if (finished !== undefined) {
          path.delete(finished);
          done.add(finished);
        }
      } else if (done.has(next)) continue;
      else if (path.has(next)) {
        return [...order.slice(order.indexOf(next)), next];
      } else {
        path.add(next);
        order.push(next);
        left.push([...(below.get(next) ?? [])]);
      }
    }
  }
  return undefined;
}
