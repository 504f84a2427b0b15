import type { ChangesView } from '@claviger/contracts';
import { KvOwner, type KvView, openChangesView, type RecordSigner, recordTypes, revisionReader } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';
import { ApprovedChanges } from './approved-changes';
import type { CoreService } from './core-service';

const pruneEveryMs = 30_000;

/** What a service that executes approved changes holds of them. */
export class Changes {
  readonly view: KvView<ChangesView>;
  readonly owner: KvOwner<ChangesView>;
  readonly approved: ApprovedChanges;
  private pruning: NodeJS.Timeout | undefined;

  constructor(core: CoreService, signer: RecordSigner, logger: LoggerService) {
    const { connection, trusted, evaluator, service, worker, viewOptions } = core;
    this.view = openChangesView(viewOptions);
    this.owner = new KvOwner<ChangesView>(connection, 'changes', recordTypes.changes, signer, revisionReader('changes', trusted));
    this.approved = new ApprovedChanges({
      ...{ view: this.view, owner: this.owner, people: evaluator, signer, logger },
      holder: `${service}.${worker}`,
    });
  }

  /** Resolves when the bucket is there, which needs not be waited for: until then a change is refused, and nothing else is. */
  async start(): Promise<void> {
    this.pruning = setInterval(() => this.view.prune(), pruneEveryMs);
    await Promise.all([this.view.start(), this.owner.start()]);
  }

  stop(): void {
    clearInterval(this.pruning);
    this.view.stop();
    this.owner.stop();
  }
}
