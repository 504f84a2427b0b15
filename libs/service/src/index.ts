export { coreChecks, type NamedViews } from './checks';
export { observeCore } from './core-metrics';
export { type CoreService, type CoreServiceOptions, openCoreService } from './core-service';
export { openToken } from './open-token';
export { type OwedRecord, type OwedRecordSource, OwedRecords } from './owed-records';
export { type About, type Admit, type Asker, type Done, defaultProblem, RecordedReply } from './recorded-reply';
export { SystemReplies } from './system-replies';
