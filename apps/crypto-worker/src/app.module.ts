import { AuditTrail, ProblemFilter } from '@claviger/messaging';
import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { BackupHsmController, RecoveryKeys } from './backup-hsm.controller';
import { CryptoController } from './crypto.controller';
import { CryptoBatchController } from './crypto-batch.controller';
import { HsmController } from './hsm.controller';
import { HsmBatchController } from './hsm-batch.controller';
import { KeyEstablishment } from './key-establishment';
import { KeyHolder } from './key-holder';
import { HolderName, MigrationHsmController } from './migration-hsm.controller';
import { Operations } from './operations';
import { RecordedUse } from './recorded-use';
import { RewrapController } from './rewrap.controller';
import { SeenTokens } from './seen-tokens';
import { TokenBreaker } from './token-breaker';
import { Tokens } from './tokens';
import { TokensController, Worker } from './tokens.controller';
import { TransportController } from './transport.controller';

@Module({})
export class AppModule {
  static with(parts: {
    tokens: Tokens;
    keys: KeyHolder;
    breaker: TokenBreaker;
    recorded: RecordedUse;
    operations: Operations;
    establishment: KeyEstablishment;
    recovery: RecoveryKeys;
    holder: HolderName;
    trail: AuditTrail;
    worker: Worker;
    seen: SeenTokens;
  }): DynamicModule {
    return {
      module: AppModule,
      controllers: [
        CryptoController,
        CryptoBatchController,
        HsmController,
        HsmBatchController,
        TransportController,
        RewrapController,
        BackupHsmController,
        MigrationHsmController,
        TokensController,
      ],
      providers: [
        CryptoController,
        HsmController,
        MigrationHsmController,
        { provide: HolderName, useValue: parts.holder },
        { provide: Tokens, useValue: parts.tokens },
        { provide: KeyHolder, useValue: parts.keys },
        { provide: TokenBreaker, useValue: parts.breaker },
        { provide: RecordedUse, useValue: parts.recorded },
        { provide: Operations, useValue: parts.operations },
        { provide: KeyEstablishment, useValue: parts.establishment },
        { provide: AuditTrail, useValue: parts.trail },
        { provide: Worker, useValue: parts.worker },
        { provide: SeenTokens, useValue: parts.seen },
        { provide: RecoveryKeys, useValue: parts.recovery },
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
  }
}
