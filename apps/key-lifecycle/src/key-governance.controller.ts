import { keyResource } from '@claviger/authz';
import { isWider, keyGovernanceOperations, type Request } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { Assurance } from './assurance';
import { Floors } from './floors';
import { certifyKey } from './key-certification';
import { isLowered, setClassification } from './key-events';
import { assertNotBelow, withRotation } from './key-floor';
import { setResidency } from './key-residency';
import { RecordedChange } from './recorded-change';
import { Site } from './site';

type Ops = typeof keyGovernanceOperations;

/** The edge of what is decided about a key for what it protects. */
@Controller()
export class KeyGovernanceController {
  constructor(
    private readonly changes: RecordedChange,
    private readonly floors: Floors,
    private readonly site: Site,
    private readonly assurance: Assurance,
  ) {}

  @MessagePattern(keyGovernanceOperations.setClassification.name)
  setClassification(@Payload() request: Request<Ops['setClassification']>, @Ctx() context: RequestContext): Promise<Answer> {
    const { classification, reason } = request;
    return this.changes.answer(keyGovernanceOperations.setClassification, request, context, async (key, admitAlso) => {
      if (isLowered(key, classification)) admitAlso('keys:LowerClassification', keyResource(key));
      const now = new Date().toISOString();
      const changed = setClassification(key, classification, reason, now);
      if (changed === key) return key;
      // Whoever may not administer keys of the new classification does not make one.
      admitAlso('keys:SetClassification', { ...keyResource(changed), revision: 'proposed' });
      const floor = this.floors.of(changed);
      const to = withRotation(changed, floor, now);
      assertNotBelow(to, floor);
      await this.assurance.assertKept(to);
      return to;
    });
  }

  @MessagePattern(keyGovernanceOperations.certify.name)
  certify(@Payload() request: Request<Ops['certify']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.changes.answer(keyGovernanceOperations.certify, request, context, (key) =>
      certifyKey(key, context.principal, new Date().toISOString()),
    );
  }

  @MessagePattern(keyGovernanceOperations.setResidency.name)
  setResidency(@Payload() request: Request<Ops['setResidency']>, @Ctx() context: RequestContext): Promise<Answer> {
    const residency = request.residency ?? undefined;
    return this.changes.answer(keyGovernanceOperations.setResidency, request, context, (key, admitAlso) => {
      if (isWider(key.residency, residency)) admitAlso('keys:WidenResidency', keyResource(key));
      this.site.assertResident(residency);
      return setResidency(key, residency);
    });
  }
}
