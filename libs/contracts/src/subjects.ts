import { principalPattern, sessionPattern } from './primitives';

/**
 * `claviger.v1.<principal>.<session>.<service>.<verb>`: the broker lets a connection publish only under its own principal and session,
 * so the subject is the identity.
 */
export interface RequestSubject {
  principal: string;
  session: string;
  service: string;
  verb: string;
}

export const requestSubject = (s: RequestSubject): string => `claviger.v1.${s.principal}.${s.session}.${s.service}.${s.verb}`;
/** What a service subscribes to. */
export const serviceSubject = (service: string): string => `claviger.v1.*.*.${service}.*`;
/** What the auth callout grants. */
export const grantedSubjects = (principal: string, session: string) => ({
  publish: `claviger.v1.${principal}.${session}.*.*`,
  subscribe: `${inboxPrefix(principal, session)}.>`,
});
export const inboxPrefix = (principal: string, session: string): string => `_INBOX.${principal}.${session}`;
export const serviceInboxPrefix = (service: string): string => `_INBOX.core.${service}`;
/** Everything that crosses from CLIENTS to CORE. */
export const exportedRequests = 'claviger.v1.*.*.*.*';

export function parseRequestSubject(subject: string): RequestSubject | undefined {
  const parts = subject.split('.');
  if (parts.length !== 6 || parts[0] !== 'claviger' || parts[1] !== 'v1') return undefined;
  const [, , principal, session, service, verb] = parts as [string, string, string, string, string, string];
  return principalPattern.test(principal) && sessionPattern.test(session) ? { principal, session, service, verb } : undefined;
}

/** Between services, inside CORE only. */
export const internalSubject = (service: string, verb: string): string => `claviger-internal.v1.${service}.${verb}`;
/** A holder has applied a view record: `claviger-internal.v1.applied.<bucket>`. */
export const appliedSubject = (bucket: string): string => `claviger-internal.v1.applied.${bucket}`;
export const auditSubject = (service: string, worker: string): string => `audit.v1.${service}.${worker}`;
export const deadSubject = (stream: string, consumer: string): string => `dead.v1.${stream}.${consumer}`;
