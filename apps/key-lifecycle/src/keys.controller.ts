import { claviger, keyResource } from '@claviger/authz';
import { keyOperations, type Request } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { named, RecordedReply } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { Floors } from './floors';
import { describeKek } from './kek';
import { KekStore } from './kek-store';
import {
  activateKey,
  assertActivation,
  assertRotatable,
  cancelDeletion,
  compromiseKey,
  deactivateKey,
  type Key,
  resumeKey,
  rotateKey,
  scheduleDeletion,
  setConsumers,
  setOwner,
  setRotation,
  suspendKey,
  updateNotes,
  usageFor,
} from './key';
import { KeyCommands } from './key-commands';
import { describeKey } from './key-description';
import { afterCompromise, afterOwnerChange } from './key-events';
import { assertRotationNotBelow, assertWait, withRotation } from './key-floor';
import { KeyStore } from './key-store';
import { ListCursors } from './list-cursors';
import { shownPage } from './list-page';
import { NamedKeys } from './named-keys';
import { RecordedChange } from './recorded-change';
import { Site } from './site';

type Ops = typeof keyOperations;

/** The edge of the key service: commands in, key descriptions out. Policy decides on the key as it is when the command is carried out. */
@Controller()
export class KeysController {
  constructor(
    private readonly replies: RecordedReply,
    private readonly commands: KeyCommands,
    private readonly changes: RecordedChange,
    private readonly store: KeyStore,
    private readonly names: NamedKeys,
    private readonly keks: KekStore,
    private readonly floors: Floors,
    private readonly site: Site,
    private readonly cursors: ListCursors,
  ) {}

  @MessagePattern(keyOperations.create.name)
  create(@Payload() request: Request<Ops['create']>, @Ctx() context: RequestContext): Promise<Answer> {
    const { type: _, requestId: __, owner = context.principal, usage: asked, activateAt, origin, exportable, ...rest } = request;
    const kind = { ...(origin === 'external' ? { origin } : {}), ...(exportable ? { exportable } : {}) };
    return this.replies.answer(keyOperations.create, context, {}, async ({ admit, intend }) => {
      const about = { ...rest, ...kind, usage: usageFor(rest.algorithm, asked) };
      this.site.assertResident(about.residency);
      if (activateAt !== undefined) assertActivation(activateAt, Date.now());
      admit('keys:Create', {
        ...keyResource({ ...about, owner, createdBy: context.principal, keyId: 'proposed', revision: 0 }),
        revision: 'proposed',
      });
      const { key, recorded } = await this.commands.create(
        { ...about, owner, createdBy: context.principal },
        ({ keyId, revision }) => intend({ keyId, version: 1, revision }),
        context.trace,
        activateAt,
      );
      return { result: describeKey(key), record: { keyId: key.keyId, version: 1 }, recorded };
    });
  }

  @MessagePattern(keyOperations.describe.name)
  describe(@Payload() request: Request<Ops['describe']>, @Ctx() context: RequestContext): Promise<Answer> {
    const about = named(request.keyId);
    return this.replies.answer(keyOperations.describe, context, about, async ({ admit }) => ({
      result: describeKey(await this.names.described(about, admit)),
    }));
  }

  @MessagePattern(keyOperations.list.name)
  list(@Payload() request: Request<Ops['list']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(keyOperations.list, context, {}, async ({ admit, allows }) => {
      admit('keys:List', claviger);
      const { filter, limit, after } = request;
      const list = { principal: context.principal, filter };
      const { keys, next } = await shownPage(
        (from, most) => this.store.list(from, most, filter),
        (key) => allows('keys:Describe', keyResource(key)),
        { limit, after: after === undefined ? undefined : await this.cursors.open(after, list) },
      );
      return { result: { keys, ...(next === undefined ? {} : { next: await this.cursors.seal(next, list) }) } };
    });
  }

  @MessagePattern(keyOperations.listKeks.name)
  listKeks(@Payload() _request: Request<Ops['listKeks']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(keyOperations.listKeks, context, {}, async ({ admit }) => {
      admit('keys:ListKeks', claviger);
      return { result: { keks: (await this.keks.list()).map(describeKek) } };
    });
  }

  @MessagePattern(keyOperations.rotate.name)
  rotate(@Payload() request: Request<Ops['rotate']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.changes.answer(keyOperations.rotate, request, context, async (key) => {
      assertRotatable(key);
      return rotateKey(key, await this.commands.material(key, context.trace), request.reason, new Date().toISOString());
    });
  }

  @MessagePattern(keyOperations.activate.name)
  activate(@Payload() request: Request<Ops['activate']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.changes.answer(keyOperations.activate, request, context, (key) =>
      activateKey(key, request.reason, new Date().toISOString()),
    );
  }

  @MessagePattern(keyOperations.deactivate.name)
  deactivate(@Payload() request: Request<Ops['deactivate']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.changes.answer(keyOperations.deactivate, request, context, (key) =>
      deactivateKey(key, request.reason, new Date().toISOString()),
    );
  }

  @MessagePattern(keyOperations.markCompromised.name)
  markCompromised(@Payload() request: Request<Ops['markCompromised']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.changes.answer(keyOperations.markCompromised, request, context, (key) => {
      const now = new Date().toISOString();
      return afterCompromise(key, compromiseKey(key, request.versions, request.reason, now), request.rotate, request.reason, now);
    });
  }

  @MessagePattern(keyOperations.suspend.name)
  suspend(@Payload() request: Request<Ops['suspend']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.changes.answer(keyOperations.suspend, request, context, (key) =>
      suspendKey(key, request.allowProcessing, request.reason, new Date().toISOString()),
    );
  }

  @MessagePattern(keyOperations.resume.name)
  resume(@Payload() request: Request<Ops['resume']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.changes.answer(keyOperations.resume, request, context, (key) => resumeKey(key, request.reason, new Date().toISOString()));
  }

  @MessagePattern(keyOperations.scheduleDeletion.name)
  scheduleDeletion(@Payload() request: Request<Ops['scheduleDeletion']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.changes.answer(keyOperations.scheduleDeletion, request, context, (key) => {
      assertWait(key, request.waitDays, this.floors.of(key));
      return scheduleDeletion(key, request.waitDays, { by: context.principal, reason: request.reason }, Date.now());
    });
  }

  @MessagePattern(keyOperations.cancelDeletion.name)
  cancelDeletion(@Payload() request: Request<Ops['cancelDeletion']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.changes.answer(keyOperations.cancelDeletion, request, context, (key) => cancelDeletion(key));
  }

  @MessagePattern(keyOperations.setConsumers.name)
  setConsumers(@Payload() request: Request<Ops['setConsumers']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.changes.answer(keyOperations.setConsumers, request, context, (key) => setConsumers(key, request.consumers));
  }

  @MessagePattern(keyOperations.setOwner.name)
  setOwner(@Payload() request: Request<Ops['setOwner']>, @Ctx() context: RequestContext): Promise<Answer> {
    const { owner, reason } = request;
    const handOver = (key: Key) => afterOwnerChange(key, setOwner(key, owner), reason, new Date().toISOString());
    return this.changes.answer(keyOperations.setOwner, request, context, handOver, { newOwner: owner });
  }

  @MessagePattern(keyOperations.setRotation.name)
  setRotation(@Payload() request: Request<Ops['setRotation']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.changes.answer(keyOperations.setRotation, request, context, (key) => {
      const [now, floor] = [new Date().toISOString(), this.floors.of(key)];
      const set = setRotation(key, request, now);
      const to = set === key ? key : withRotation(set, floor, now);
      if (to !== key) assertRotationNotBelow(to, floor);
      return to;
    });
  }

  @MessagePattern(keyOperations.update.name)
  update(@Payload() request: Request<Ops['update']>, @Ctx() context: RequestContext): Promise<Answer> {
    const { description, team, contact, tags } = request;
    return this.changes.answer(keyOperations.update, request, context, (key) => updateNotes(key, { description, team, contact }, tags));
  }
}
