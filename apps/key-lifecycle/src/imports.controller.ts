import { keyResource } from '@claviger/authz';
import { importOperations, ProblemError, type Request } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { named, RecordedReply } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { Floors } from './floors';
import type { ImportParameters } from './import-parameters';
import { inTime, kekUseMs } from './kek-use';
import type { Key } from './key';
import {
  assertImportable,
  assertMaterialTimes,
  assertMayEnd,
  deleteMaterial,
  type ImportTarget,
  importMaterial,
  newlyDeclared,
  type Received,
} from './key-material';
import { KeyStore } from './key-store';
import { KeyTransport } from './key-transport';
import { NamedKeys } from './named-keys';
import { RecordedChange } from './recorded-change';

type Ops = typeof importOperations;

/** Import of material that was made elsewhere: its edge. */
@Controller()
export class ImportsController {
  constructor(
    private readonly replies: RecordedReply,
    private readonly changes: RecordedChange,
    private readonly names: NamedKeys,
    private readonly store: KeyStore,
    private readonly transport: KeyTransport,
    private readonly floors: Floors,
  ) {}

  @MessagePattern(importOperations.importParameters.name)
  parameters(@Payload() request: Request<Ops['importParameters']>, @Ctx() context: RequestContext): Promise<Answer> {
    const { keyId: ref, wrappingAlgorithm, wrappingKeySpec } = request;
    const about = named(ref);
    return this.replies.answer(importOperations.importParameters, context, about, async ({ admit }) => {
      const keyId = await this.names.idOf(about, admit);
      const key = await this.store.get(keyId);
      if (!key) throw new ProblemError('ERR_KEY_UNKNOWN');
      admit('keys:ImportParameters', keyResource(key));
      if (key.origin !== 'external') throw new ProblemError('ERR_KEY_ORIGIN', 'The material of this key is generated.');
      const { parameters, token, publicKeySpki } = await this.transport.offer(key, wrappingAlgorithm, wrappingKeySpec, context.trace);
      return { result: { keyId, wrappingAlgorithm, publicKeySpki, importToken: token, expiresAt: parameters.expiresAt } };
    });
  }

  /** Unwrapped once, however often others change the key meanwhile; only what the key's own document says is asked again. */
  @MessagePattern(importOperations.importMaterial.name)
  async material(@Payload() request: Request<Ops['importMaterial']>, @Ctx() context: RequestContext): Promise<Answer> {
    const { importToken, expiresAt, priorEncryptions, reason } = request;
    const [importId = ''] = importToken.split('.');
    const about = { importId, ...(expiresAt ? { expiresAt } : {}), ...(priorEncryptions === undefined ? {} : { priorEncryptions }) };
    let parameters: ImportParameters | undefined;
    /** The version whose prior encryptions are counted: another one gets them when the key was rotated meanwhile. */
    let counted: number | undefined;
    let received: { of: Key; material: Received; atMs: number; assertInTime: () => void } | undefined;
    const answer = await this.changes.answer(importOperations.importMaterial, request, context, async (key) => {
      if (request.newVersion && request.version !== undefined)
        throw new ProblemError('ERR_MALFORMED_REQUEST', 'A new version has no number yet: leave one of version and newVersion out.');
      const target: ImportTarget = request.newVersion ? 'new' : (request.version ?? key.primaryVersion);
      assertImportable(key, target, importId);
      assertMaterialTimes(key, about, Date.now());
      assertMayEnd(key, target, about, this.floors.of(key), Date.now());
      // Before a try is counted.
      await this.transport.assertPlace(key);
      parameters ??= await this.transport.claim(key.keyId, importToken);
      if (!received || !isUnderSameKek(received.of, key) || performance.now() - received.atMs > kekUseMs / 2)
        received = {
          ...{ of: key, atMs: performance.now(), assertInTime: inTime() },
          material: await this.transport.receive(key, parameters, request, context.trace),
        };
      const imported = importMaterial(key, target, received.material, about, reason, new Date().toISOString());
      // Before the material is there, and once for each version that it may become.
      const version = target === 'new' ? imported.primaryVersion : target;
      if (counted !== version) await this.transport.count(key.keyId, version, newlyDeclared(key, target, about));
      counted = version;
      // It may be from an earlier attempt, whose time began before that of this one.
      received.assertInTime();
      return imported;
    });
    if (parameters) await this.transport.forget(parameters);
    return answer;
  }

  @MessagePattern(importOperations.deleteMaterial.name)
  deleteMaterial(@Payload() request: Request<Ops['deleteMaterial']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.changes.answer(importOperations.deleteMaterial, request, context, (key) =>
      deleteMaterial(key, request.version ?? key.primaryVersion, this.floors.of(key), Date.now()),
    );
  }
}

/** What took long is done anew: the KEK that it is under may be on its way out (kekUseMs). */
const isUnderSameKek = (a: Key, b: Key): boolean => a.environment === b.environment && a.classification === b.classification;
