import { ProblemFilter } from '@claviger/messaging';
import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { KeyCommands } from './key-commands';
import { KeyStore } from './key-store';
import { KeysController } from './keys.controller';
import { RecordedCommand } from './recorded-command';

@Module({})
export class AppModule {
  static with(parts: { recorded: RecordedCommand; commands: KeyCommands; store: KeyStore }): DynamicModule {
    return {
      module: AppModule,
      controllers: [KeysController],
      providers: [
        { provide: RecordedCommand, useValue: parts.recorded },
        { provide: KeyCommands, useValue: parts.commands },
        { provide: KeyStore, useValue: parts.store },
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
  }
}
