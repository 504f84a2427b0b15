import { Evaluator, Gate } from '@claviger/authz';
import { ProblemFilter } from '@claviger/messaging';
import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { AccessController } from './access.controller';
import { BundleKeeper } from './bundle-keeper';
import { ControlToken } from './control-token';
import { PolicyController } from './policy.controller';
import { RecordedReply } from './recorded-reply';
import { Registries } from './registries';
import { Revocation } from './revocation';
import { Sessions } from './sessions';

export interface Parts {
  recorded: RecordedReply;
  bundles: BundleKeeper;
  evaluator: Evaluator;
  gate: Gate;
  token: ControlToken;
  registries: Registries;
  sessions: Sessions;
  revocation: Revocation;
}

@Module({})
export class AppModule {
  static with(parts: Parts): DynamicModule {
    return {
      module: AppModule,
      controllers: [PolicyController, AccessController],
      providers: [
        { provide: RecordedReply, useValue: parts.recorded },
        { provide: BundleKeeper, useValue: parts.bundles },
        { provide: Evaluator, useValue: parts.evaluator },
        { provide: Gate, useValue: parts.gate },
        { provide: ControlToken, useValue: parts.token },
        { provide: Registries, useValue: parts.registries },
        { provide: Sessions, useValue: parts.sessions },
        { provide: Revocation, useValue: parts.revocation },
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    };
  }
}
