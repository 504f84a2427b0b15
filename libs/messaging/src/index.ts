export { AuditTrail, type AuditTrailOptions, type ChangeEntry, type RecordIntent, type TrailKeys } from './audit-trail';
export { BrokerClock } from './broker-clock';
export { type BrokerConfigOptions, type BrokerIdentities, renderBrokerConfig, type ServiceName, serviceNames } from './broker-config';
export { type BrokerSeeds, createBrokerIdentities } from './broker-identities';
export { type CoreConnectionOptions, connectToCore } from './core-connection';
export { Counters, countersReadMax } from './counters';
export { DurableConsumer, type DurableConsumerOptions, PoisonMessage } from './durable-consumer';
export { Gathering, type Outcome, shortly } from './gathering';
export { AuditGroupCommit, type BatchSealer } from './group-commit';
export { type MarkBody, RevisionSum } from './high-water-mark';
export { askInternal } from './internal-client';
export { KvOwner } from './kv-owner';
export { type Held, KvView, type KvViewOptions, type RefusedEntry, type ViewRecord } from './kv-view';
export { type OutboxItem, type OutboxPage, OutboxRelay, type OutboxSource } from './outbox-relay';
export { parseInput } from './parse-request';
export { ProblemFilter } from './problem-filter';
export { type ProvisionOptions, provision } from './provision';
export type { RequestContext } from './request-context';
export {
  type AdmitPacked,
  type Answer,
  RecordedProblem,
  type RecordRefusal,
  RequestServer,
  type RequestServerOptions,
} from './request-server';
export { importTrustedKeys, RecordSignatureError, type RecordSigner, signRecord, signRecords, verifyRecord } from './signed-record';
export { SigningTogether } from './signing-together';
export {
  isPinned,
  openChangesView,
  openKeysView,
  openPolicyView,
  openSessionsView,
  recordTypes,
  revisionReader,
  type StateViewOptions,
} from './state-views';
export { endSpan, extractTrace, SpanKind, startSpan, traceFromParent, traceHeaders, traceparentOf } from './trace';
