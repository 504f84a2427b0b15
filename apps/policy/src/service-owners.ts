import { randomUUID } from 'node:crypto';
import { newUnownedServices, unownedServices } from '@claviger/authz';
import { type CloudEvent, cloudEvent, type PolicyBundle } from '@claviger/contracts';

const unowned = 'io.claviger.policy.services-unowned';

/** Why a bundle is not taken: a service that comes with it needs an owner. Those of before stay as they are, and are told of by an event. */
export const ownerIssues = (before: PolicyBundle | undefined, next: PolicyBundle): { where: string; message: string }[] =>
  newUnownedServices(before, next).map(({ id, owner }) => ({
    where: `principals (${id})`,
    message:
      owner === undefined
        ? 'is a new service without an owner: name a person or a group in `owner`'
        : `is a new service whose owner ${owner} is no enabled person and no group`,
  }));

/** One event when services have become unowned by this bundle. */
export function unownedEvent(
  before: PolicyBundle | undefined,
  next: PolicyBundle,
  time: string,
): { id: string; kind: 'event'; event: CloudEvent<typeof unowned> }[] {
  const earlier = new Set(before ? unownedServices(before).map(({ principal }) => principal.id) : []);
  const services = unownedServices(next)
    .filter(({ principal }) => !earlier.has(principal.id))
    .map(({ principal: { id, owner }, ownership }) => ({
      principal: id,
      ownership: ownership as 'none' | 'gone',
      ...(owner === undefined ? {} : { owner }),
    }));
  if (services.length === 0) return [];
  const id = randomUUID();
  const event = cloudEvent(unowned, {
    id,
    source: 'claviger/policy',
    time,
    subject: String(next.revision),
    data: { revision: next.revision, services },
  });
  return [{ id, kind: 'event', event }];
}
