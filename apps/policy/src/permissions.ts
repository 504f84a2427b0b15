import { clientAlerts, grantedSubjects, limits } from '@claviger/contracts';
import type { User } from '@nats-io/jwt';

const { stream, consumer, liveSubject } = clientAlerts;

/**
 * What an admitted connection may do at the broker: speak under its own principal and session, hear its own inbox, and, where policy lets it read
 * alerts, follow them through the pre-made consumer. Never CONSUMER.CREATE: a `deliver_subject` could name somebody else's request subject.
 */
export function permissionsOf(principal: string, session: string, readsAlerts: boolean): Partial<User> {
  const { publish, subscribe } = grantedSubjects(principal, session);
  const pull = [
    `$JS.API.CONSUMER.INFO.${stream}.${consumer}`,
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`,
    `$JS.ACK.${stream}.${consumer}.>`,
  ];
  return {
    pub: { allow: [publish, ...(readsAlerts ? pull : [])], deny: [] },
    sub: { allow: [subscribe, ...(readsAlerts ? [liveSubject] : [])], deny: [] },
    subs: 50,
    data: -1,
    // Twice what a request may hold, so that a request that is too large is answered with a problem instead of a cut connection.
    payload: limits.messageBytes * 2,
    allowed_connection_types: ['STANDARD', 'WEBSOCKET'],
  };
}
