import { ProblemFilter } from '@claviger/messaging';
import { RecordedReply } from '@claviger/service';
import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { KeyCommands } from './key-commands';
import { KeyStore } from './key-store';
import { KeysController } from './keys.controller';

@Module({})
export class AppModule {
  static with(parts: { replies: RecordedReply; commands: KeyCommands; store: KeyStore }): DynamicModule {
    return {
      module: AppModule,
      controllers: [KeysController],
      providers: [
        { provide: RecordedReply, useValue: parts.replies },
        { provide: KeyCommands, useValue: parts.commands },
        { provide: KeyStore, useValue: parts.store },
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
  }
}
