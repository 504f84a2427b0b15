import { ProblemFilter } from '@claviger/messaging';
import { SystemReplies } from '@claviger/service';
import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { AuditController } from './audit.controller';
import { CeremonyController } from './ceremony.controller';
import { CeremonyRecords } from './ceremony-records';
import { CheckpointStore } from './checkpoint-store';
import { LastActivities } from './last-activities';
import { LastActivitiesController } from './last-activities.controller';
import { LastUses } from './last-uses';
import { LastUsesController } from './last-uses.controller';
import { LedgerReader } from './ledger-reader';
import { OpenLedger } from './open-ledger';
import { PersonalController } from './personal.controller';
import { PersonalStore } from './personal-store';
import { ReportController } from './report.controller';

export interface AppParts {
  replies: SystemReplies;
  ledger: OpenLedger;
  reader: LedgerReader;
  checkpoints: CheckpointStore;
  personal: PersonalStore;
  ceremonies: CeremonyRecords;
}

@Module({})
export class AppModule {
  static with({ replies, ledger, reader, checkpoints, personal, ceremonies }: AppParts): DynamicModule {
    return {
      module: AppModule,
      controllers: [
        AuditController,
        CeremonyController,
        LastActivitiesController,
        LastUsesController,
        PersonalController,
        ReportController,
      ],
      providers: [
        { provide: SystemReplies, useValue: replies },
        { provide: OpenLedger, useValue: ledger },
        { provide: LedgerReader, useValue: reader },
        { provide: LastActivities, useValue: new LastActivities(reader) },
        { provide: LastUses, useValue: new LastUses(reader) },
        { provide: CheckpointStore, useValue: checkpoints },
        { provide: PersonalStore, useValue: personal },
        { provide: CeremonyRecords, useValue: ceremonies },
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
  }
}
