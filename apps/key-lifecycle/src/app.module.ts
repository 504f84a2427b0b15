import { ProblemFilter } from '@claviger/messaging';
import { RecordedReply } from '@claviger/service';
import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { DeletionController } from './deletion.controller';
import { Floors } from './floors';
import { LeaseBounds } from './invocations';
import { KekStore } from './kek-store';
import { KeyCommands } from './key-commands';
import { KeyGovernanceController } from './key-governance.controller';
import { KeyStore } from './key-store';
import { KeysController } from './keys.controller';
import { KeysBatchController } from './keys-batch.controller';
import { LastUses } from './last-uses';
import { LeasesController } from './leases.controller';
import { RecordedChange } from './recorded-change';

@Module({})
export class AppModule {
  static with(parts: {
    replies: RecordedReply;
    commands: KeyCommands;
    store: KeyStore;
    keks: KekStore;
    bounds: LeaseBounds;
    lastUses: LastUses;
    floors: Floors;
  }): DynamicModule {
    return {
      module: AppModule,
      controllers: [KeysController, KeyGovernanceController, KeysBatchController, DeletionController, LeasesController],
      providers: [
        KeysController,
        { provide: RecordedReply, useValue: parts.replies },
        { provide: KeyCommands, useValue: parts.commands },
        { provide: RecordedChange, useValue: new RecordedChange(parts.replies, parts.commands) },
        { provide: KeyStore, useValue: parts.store },
        { provide: KekStore, useValue: parts.keks },
        { provide: LeaseBounds, useValue: parts.bounds },
        { provide: LastUses, useValue: parts.lastUses },
        { provide: Floors, useValue: parts.floors },
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
  }
}
