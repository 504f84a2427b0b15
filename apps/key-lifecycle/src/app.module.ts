import { ProblemFilter } from '@claviger/messaging';
import { RecordedReply } from '@claviger/service';
import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { AliasCommands } from './alias-commands';
import { AliasStore } from './alias-store';
import { AliasesController } from './aliases.controller';
import { Assurance } from './assurance';
import { BackupController, BackupParts } from './backup.controller';
import { DeletionController } from './deletion.controller';
import { ExportsController } from './exports.controller';
import { Floors } from './floors';
import { ImportsController } from './imports.controller';
import { LeaseBounds } from './invocations';
import { JobStore } from './job-store';
import { KekStore } from './kek-store';
import { KeyCommands } from './key-commands';
import { KeyGovernanceController } from './key-governance.controller';
import { KeyStore } from './key-store';
import { KeyTransport } from './key-transport';
import { KeysController } from './keys.controller';
import { KeysBatchController } from './keys-batch.controller';
import { LastUses } from './last-uses';
import { LeasesController } from './leases.controller';
import { ListCursors } from './list-cursors';
import { MigrationController } from './migration.controller';
import { NamedKeys } from './named-keys';
import { RecordedChange } from './recorded-change';
import { Hsm, OwedByJobs, RewrapController } from './rewrap.controller';
import { Roots } from './roots';

import { Site } from './site';
import { Statements, TokenEndingController } from './token-ending.controller';
import { TokenSightings } from './token-sightings';
import { TokenSurvey } from './token-survey';
import { TokensController } from './tokens.controller';
import { WrappingGuard } from './wrapping-guard';

@Module({})
export class AppModule {
  static with(parts: {
    replies: RecordedReply;
    commands: KeyCommands;
    store: KeyStore;
    keks: KekStore;
    roots: Roots;
    jobs: JobStore;
    owedByJobs: OwedByJobs;
    guard: WrappingGuard;
    survey: TokenSurvey;
    statements: Statements;
    hsm: Hsm;
    bounds: LeaseBounds;
    backups: BackupParts;
    transport: KeyTransport;
    lastUses: LastUses;
    floors: Floors;
    aliases: AliasStore;
    aliasCommands: AliasCommands;
    site: Site;
    cursors: ListCursors;
    assurance: Assurance;
    sightings: TokenSightings;
  }): DynamicModule {
    const names = new NamedKeys(parts.aliases, parts.store);
    return {
      module: AppModule,
      controllers: [
        AliasesController,
        BackupController,
        KeysController,
        KeyGovernanceController,
        KeysBatchController,
        DeletionController,
        LeasesController,
        ImportsController,
        ExportsController,
        RewrapController,
        MigrationController,
        TokenEndingController,
        TokensController,
      ],
      providers: [
        KeysController,
        { provide: RecordedReply, useValue: parts.replies },
        { provide: KeyCommands, useValue: parts.commands },
        { provide: RecordedChange, useValue: new RecordedChange(parts.replies, parts.commands, names) },
        { provide: KeyStore, useValue: parts.store },
        { provide: NamedKeys, useValue: names },
        { provide: AliasStore, useValue: parts.aliases },
        { provide: AliasCommands, useValue: parts.aliasCommands },
        { provide: KekStore, useValue: parts.keks },
        { provide: Roots, useValue: parts.roots },
        { provide: JobStore, useValue: parts.jobs },
        { provide: OwedByJobs, useValue: parts.owedByJobs },
        { provide: WrappingGuard, useValue: parts.guard },
        { provide: Statements, useValue: parts.statements },
        { provide: TokenSurvey, useValue: parts.survey },
        { provide: Hsm, useValue: parts.hsm },
        { provide: LeaseBounds, useValue: parts.bounds },
        { provide: BackupParts, useValue: parts.backups },
        { provide: KeyTransport, useValue: parts.transport },
        { provide: LastUses, useValue: parts.lastUses },
        { provide: Floors, useValue: parts.floors },
        { provide: Site, useValue: parts.site },
        { provide: Assurance, useValue: parts.assurance },
        { provide: TokenSightings, useValue: parts.sightings },
        { provide: ListCursors, useValue: parts.cursors },
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
  }
}
