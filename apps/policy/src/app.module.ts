import { Evaluator } from '@claviger/authz';
import { ProblemFilter } from '@claviger/messaging';
import { RecordedReply, SystemReplies } from '@claviger/service';
import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { AccessController } from './access.controller';
import { AccessGovernanceController } from './access-governance.controller';
import { BundleKeeper } from './bundle-keeper';
import { ChangeKeeper } from './change-keeper';
import { ChangesController } from './changes.controller';
import { PolicyController } from './policy.controller';
import { QuotaCounts } from './quota-counts';
import { QuotasController } from './quotas.controller';
import { Registries } from './registries';
import { Revocation } from './revocation';
import { Sessions } from './sessions';
import { TokenIssuer } from './token-issuer';
import { TokenKeyKeeper } from './token-key-keeper';

export interface Parts {
  recorded: RecordedReply;
  bundles: BundleKeeper;
  changes: ChangeKeeper;
  evaluator: Evaluator;
  tokens: TokenIssuer;
  tokenKeys: TokenKeyKeeper;
  quotaCounts: QuotaCounts;
  registries: Registries;
  sessions: Sessions;
  revocation: Revocation;
}

@Module({})
export class AppModule {
  static with(parts: Parts): DynamicModule {
    return {
      module: AppModule,
      controllers: [PolicyController, AccessController, AccessGovernanceController, QuotasController, ChangesController],
      providers: [
        { provide: RecordedReply, useValue: parts.recorded },
        { provide: SystemReplies, useValue: new SystemReplies(parts.recorded) },
        { provide: BundleKeeper, useValue: parts.bundles },
        { provide: ChangeKeeper, useValue: parts.changes },
        { provide: Evaluator, useValue: parts.evaluator },
        { provide: TokenIssuer, useValue: parts.tokens },
        { provide: TokenKeyKeeper, useValue: parts.tokenKeys },
        { provide: QuotaCounts, useValue: parts.quotaCounts },
        { provide: Registries, useValue: parts.registries },
        { provide: Sessions, useValue: parts.sessions },
        { provide: Revocation, useValue: parts.revocation },
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
  }
}
