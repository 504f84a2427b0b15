import { consumers } from '@claviger/contracts';
import { endSpan, SpanKind, startSpan, traceFromParent } from '@claviger/messaging';
import type { NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';
import { identified, identifiedByCause } from './alert-id';
import { Detection, type DetectionSettings } from './detection';
import { accessNoticeAlert } from './detectors/access-notice';
import { breakGlassAlert } from './detectors/break-glass';
import { ledgerAlert, readFinding } from './detectors/ledger-finding';
import { quotaPutBackAlert, quotaPutBackCause } from './detectors/quota-refusals';
import { refusedStateAlert, refusedStateCause } from './detectors/refused-state';
import { type TokenFailure, tokenAlert } from './detectors/token-failure';
import { Feed } from './feed';
import { readUses } from './observed-use';
import type { RaisedAlerts } from './raised-alerts';
import type { SnapshotStore } from './snapshot-store';
import type { StreamMessage } from './stream-range';

export interface DetectorOptions {
  connection: NatsConnection;
  settings: DetectionSettings;
  snapshots: SnapshotStore;
  /** Makes the store ready for alerts; tried again until it succeeds, once. */
  prepare: () => Promise<void>;
  alerts: RaisedAlerts;
  snapshotSeconds: number;
  logger: LoggerService;
}

/**
 * Reads both streams into the baselines, and keeps a snapshot of them. A crash costs what was folded since the last snapshot: it is read again, and
 * since an alert's id follows from its records, what was raised before is not raised again.
 */
export class Detector {
  private detection: Detection;
  readonly audit: Feed;
  readonly ledger: Feed;
  private timer: NodeJS.Timeout | undefined;
  private saving: Promise<void> | undefined;
  private starting: Promise<void> | undefined;
  private stopped = false;
  private prepared = false;
  private resumed = false;
  private saved = { auditSeq: 0, ledgerSeq: 0, atMs: performance.now() };
  /** For metrics. */
  readonly folded = { records: 0, ignored: 0 };

  constructor(private readonly options: DetectorOptions) {
    const { connection, logger, settings, alerts } = options;
    const settle = () => alerts.settle();
    this.detection = new Detection(settings);
    this.audit = new Feed({ connection, logger, settle, consumer: consumers.auditDetector, fold: (m) => this.foldAudit(m) });
    this.ledger = new Feed({ connection, logger, settle, consumer: consumers.ledgerDetector, fold: (m) => this.foldLedger(m) });
  }

  /** Begins as soon as store and broker answer; until then `state` says what is missing. */
  start(): void {
    this.starting = this.begin();
  }

  /** Folds no more, stores what was found, takes a last snapshot. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    await Promise.all([this.audit.stop(), this.ledger.stop()]);
    await this.starting;
    await this.saving?.catch(() => undefined);
    await this.save();
  }

  series(): Record<string, number> {
    return this.detection.series();
  }
  get late(): number {
    return this.detection.late;
  }

  /** Seconds since all that was folded was in a snapshot. */
  unsavedSeconds(): number {
    return this.isSaved() ? 0 : (performance.now() - this.saved.atMs) / 1_000;
  }

  private async begin(): Promise<void> {
    const { logger, snapshotSeconds } = this.options;
    for (let attempt = 0; !this.stopped; attempt++) {
      try {
        if (!this.resumed) await this.resume();
        for (const feed of [this.ledger, this.audit]) if (feed.state !== 'following' && !this.stopped) await feed.start();
        break;
      } catch (error) {
        const delayMs = Math.min(5_000, 200 * 2 ** attempt);
        logger.warn(`detection has not begun; tried again in ${delayMs} ms: ${String(error)}`);
        await new Promise((resolve) => setTimeout(resolve, delayMs));
      }
    }
    if (this.stopped) return;
    this.timer = setInterval(
      () => void this.save().catch((error) => logger.warn(`snapshot: tried again later: ${String(error)}`)),
      snapshotSeconds * 1_000,
    );
    logger.log(`detection follows AUDIT from ${this.audit.position} on`);
  }

  private async resume(): Promise<void> {
    const { prepare, snapshots, settings, logger } = this.options;
    if (!this.prepared) await prepare();
    this.prepared = true;
    const loaded = await snapshots.load();
    if (loaded.kind === 'snapshot') {
      const { auditSeq, ledgerSeq, state } = loaded.snapshot;
      this.detection = new Detection(settings, state);
      this.audit.position = auditSeq;
      this.ledger.position = ledgerSeq;
      this.saved = { auditSeq, ledgerSeq, atMs: performance.now() };
      logger.log(`resumes from the snapshot of ${loaded.takenAt.toISOString()}, AUDIT ${auditSeq}`);
    } else if (loaded.kind === 'unusable')
      logger.error(`the snapshot cannot be used, ${loaded.reason}: the baselines are rebuilt from AUDIT`);
    this.resumed = true;
  }

  private foldAudit({ seq, data, storedMs }: StreamMessage): void {
    const { uses, tokens, refused, quotas, notices, brokenGlass, ignored } = readUses(seq, data, storedMs);
    this.folded.records += uses.length;
    this.folded.ignored += ignored;
    for (const use of uses) {
      const span = use.trace !== undefined && isSampled(use.trace) ? foldSpan(use.trace, seq) : undefined;
      const alerts = this.detection.fold(use);
      if (alerts.length > 0) this.options.alerts.add(alerts);
      if (span) endSpan(span);
    }
    for (const quota of quotas) {
      this.detection.usedUp(quota);
      const alert = quotaPutBackAlert(quota);
      if (alert) this.options.alerts.add([identifiedByCause(alert, quotaPutBackCause(quota))]);
    }
    for (const failure of tokens) this.foldToken(failure);
    for (const broken of brokenGlass) this.options.alerts.add([identified(breakGlassAlert(broken), broken.record.id)]);
    for (const notice of notices) this.options.alerts.add([identified(accessNoticeAlert(notice), notice.record.id)]);
    for (const found of refused) this.options.alerts.add([identifiedByCause(refusedStateAlert(found), refusedStateCause(found))]);
  }

  private foldToken(failure: TokenFailure): void {
    const alert = tokenAlert(failure);
    if (alert) this.options.alerts.add([identified(alert, failure.record.id)]);
  }

  private foldLedger({ data }: StreamMessage): void {
    const finding = readFinding(data);
    if (finding) this.options.alerts.add([identified(ledgerAlert(finding), finding.id)]);
  }

  private isSaved(): boolean {
    return this.saved.auditSeq === this.audit.position && this.saved.ledgerSeq === this.ledger.position;
  }

  private save(): Promise<void> {
    this.saving ??= this.saveOnce().finally(() => {
      this.saving = undefined;
    });
    return this.saving;
  }

  private async saveOnce(): Promise<void> {
    const { alerts, snapshots, logger } = this.options;
    if (!this.resumed) return;
    // A snapshot says "these messages are dealt with": their alerts must be stored before it, and nothing may come between.
    while (!alerts.settled) await alerts.settle();
    if (this.isSaved()) return;
    const snapshot = { auditSeq: this.audit.position, ledgerSeq: this.ledger.position, state: this.detection.state() };
    const atMs = performance.now();
    if (await snapshots.save(snapshot, new Date())) this.saved = { auditSeq: snapshot.auditSeq, ledgerSeq: snapshot.ledgerSeq, atMs };
    else logger.warn('another anomaly-detector has written a snapshot meanwhile');
  }
}

/** The last byte of a traceparent is its flags; bit 0 says that the caller's trace is kept (W3C Trace Context §3.2.2.5). */
const isSampled = (traceparent: string) => (Number.parseInt(traceparent.slice(-2), 16) & 1) === 1;
const foldSpan = (traceparent: string, streamSeq: number) =>
  startSpan('detector fold', SpanKind.CONSUMER, traceFromParent(traceparent), { 'claviger.stream_seq': streamSeq }).span;
