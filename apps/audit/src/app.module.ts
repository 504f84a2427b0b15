import { Gate } from '@claviger/authz';
import { AuditTrail, ProblemFilter } from '@claviger/messaging';
import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { AuditController } from './audit.controller';
import { CheckpointStore } from './checkpoint-store';
import { LedgerReader } from './ledger-reader';
import { OpenLedger } from './open-ledger';
import { PersonalController } from './personal.controller';
import { PersonalStore } from './personal-store';
import { Recorded } from './recorded';

export interface AppParts {
  gate: Gate;
  trail: AuditTrail;
  ledger: OpenLedger;
  reader: LedgerReader;
  checkpoints: CheckpointStore;
  personal: PersonalStore;
}

@Module({})
export class AppModule {
  static with({ gate, trail, ledger, reader, checkpoints, personal }: AppParts): DynamicModule {
    return {
      module: AppModule,
      controllers: [AuditController, PersonalController],
      providers: [
        { provide: Recorded, useFactory: () => new Recorded(gate, trail) },
        { provide: OpenLedger, useValue: ledger },
        { provide: LedgerReader, useValue: reader },
        { provide: CheckpointStore, useValue: checkpoints },
        { provide: PersonalStore, useValue: personal },
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
  }
}
