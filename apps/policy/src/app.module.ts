import { Evaluator } from '@claviger/authz';
import { AuditTrail, ProblemFilter } from '@claviger/messaging';
import { RecordedReply, SystemReplies } from '@claviger/service';
import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { AccessController } from './access.controller';
import { AccessGovernanceController } from './access-governance.controller';
import { Activities } from './activities';
import { BreakGlassController } from './break-glass.controller';
import { BundleKeeper } from './bundle-keeper';
import { ChangeKeeper } from './change-keeper';
import { ChangesController } from './changes.controller';
import { ElevationController } from './elevation.controller';
import { ExplainController } from './explain.controller';
import { Granting } from './granting';
import { GuardsController } from './guards.controller';
import { KeyFacts } from './key-facts';
import { OffboardingController } from './offboarding.controller';
import { OpenGuards } from './open-guards';
import { PolicyController } from './policy.controller';
import { QuotaCounts } from './quota-counts';
import { QuotasController } from './quotas.controller';
import { Registries } from './registries';
import { ReviewDocuments } from './review-documents';
import { ReviewsController } from './reviews.controller';
import { Revocation } from './revocation';
import { Sessions } from './sessions';
import { Standings } from './standings';
import { TokenIssuer } from './token-issuer';
import { TokenKeyKeeper } from './token-key-keeper';
import { UnusedAccessController } from './unused-access.controller';

export interface Parts {
  recorded: RecordedReply;
  bundles: BundleKeeper;
  changes: ChangeKeeper;
  granting: Granting;
  guards: OpenGuards;
  keyFacts: KeyFacts;
  evaluator: Evaluator;
  tokens: TokenIssuer;
  tokenKeys: TokenKeyKeeper;
  quotaCounts: QuotaCounts;
  registries: Registries;
  sessions: Sessions;
  revocation: Revocation;
  trail: AuditTrail;
  activities: Activities;
  reviews: ReviewDocuments;
  standings: Standings;
}

@Module({})
export class AppModule {
  static with(parts: Parts): DynamicModule {
    return {
      module: AppModule,
      controllers: [
        PolicyController,
        ExplainController,
        AccessController,
        OffboardingController,
        ReviewsController,
        UnusedAccessController,
        AccessGovernanceController,
        GuardsController,
        QuotasController,
        ChangesController,
        ElevationController,
        BreakGlassController,
      ],
      providers: [
        { provide: RecordedReply, useValue: parts.recorded },
        { provide: SystemReplies, useValue: new SystemReplies(parts.recorded) },
        { provide: BundleKeeper, useValue: parts.bundles },
        { provide: ChangeKeeper, useValue: parts.changes },
        { provide: Granting, useValue: parts.granting },
        { provide: OpenGuards, useValue: parts.guards },
        { provide: KeyFacts, useValue: parts.keyFacts },
        { provide: Evaluator, useValue: parts.evaluator },
        { provide: TokenIssuer, useValue: parts.tokens },
        { provide: TokenKeyKeeper, useValue: parts.tokenKeys },
        { provide: QuotaCounts, useValue: parts.quotaCounts },
        { provide: Registries, useValue: parts.registries },
        { provide: Sessions, useValue: parts.sessions },
        { provide: Revocation, useValue: parts.revocation },
        { provide: AuditTrail, useValue: parts.trail },
        { provide: Activities, useValue: parts.activities },
        { provide: ReviewDocuments, useValue: parts.reviews },
        { provide: Standings, useValue: parts.standings },
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
  }
}
