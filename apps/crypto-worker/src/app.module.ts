import { Gate } from '@claviger/authz';
import { Token } from '@claviger/hsm';
import { AuditTrail, ProblemFilter } from '@claviger/messaging';
import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { CryptoController } from './crypto.controller';
import { HsmController } from './hsm.controller';
import { KeyHolder } from './key-holder';
import { Operations } from './operations';
import { RecordedUse } from './recorded-use';

@Module({})
export class AppModule {
  static with(parts: { token: Token; keys: KeyHolder; gate: Gate; trail: AuditTrail }): DynamicModule {
    return {
      module: AppModule,
      controllers: [CryptoController, HsmController],
      providers: [
        { provide: Token, useValue: parts.token },
        { provide: KeyHolder, useValue: parts.keys },
        { provide: Gate, useValue: parts.gate },
        { provide: AuditTrail, useValue: parts.trail },
        { provide: Operations, useFactory: () => new Operations(parts.token, parts.keys) },
        { provide: RecordedUse, useFactory: () => new RecordedUse(parts.gate, parts.keys, parts.trail) },
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
  }
}
