import { createHash } from 'node:crypto';
import { keyResource } from '@claviger/authz';
import { exportOperations, ProblemError, type Request } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { named, RecordedReply } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import type { Key } from './key';
import { versionToExport, versionToWrapUnder } from './key-export';
import { KeyStore } from './key-store';
import { KeyTransport, type Recipient } from './key-transport';
import { NamedKeys } from './named-keys';

type Ops = typeof exportOperations;

/** Material that leaves, wrapped for a recipient whom the ledger names. Policy says who may, and with whose approval. */
@Controller()
export class ExportsController {
  constructor(
    private readonly replies: RecordedReply,
    private readonly names: NamedKeys,
    private readonly store: KeyStore,
    private readonly transport: KeyTransport,
  ) {}

  @MessagePattern(exportOperations.export.name)
  export(@Payload() request: Request<Ops['export']>, @Ctx() context: RequestContext): Promise<Answer> {
    const about = { ...named(request.keyId), reason: request.reason };
    return this.replies.answer(exportOperations.export, context, about, async ({ admit, admitAlso }) => {
      const keyId = await this.names.idOf(about, admit);
      const key = await this.known(keyId);
      admit('keys:Export', keyResource(key));
      let recipient: Recipient;
      if ('keyId' in request.recipient) {
        const other = await this.known(await this.names.idOf(named(request.recipient.keyId), admitAlso));
        // As for any key that is wrapped under it.
        admitAlso('crypto:WrapKey', keyResource(other));
        recipient = { key: other, exportable: versionToWrapUnder(other) };
      } else recipient = request.recipient;
      const exportable = versionToExport(key, request.version);
      const { wrappedMaterial } = await this.transport.send(key, exportable, recipient, context.trace);
      // What was suspended, or called compromised, while the token worked does not leave.
      if ((await this.known(keyId)).revision !== key.revision)
        throw new ProblemError('ERR_CONFLICT', 'The key was changed while it was exported.');
      const taker = nameOf(recipient);
      return {
        result: { keyId, version: exportable.version, algorithm: key.algorithm, ...taker.result, wrappedMaterial },
        record: { version: exportable.version, ...taker.record },
      };
    });
  }

  private async known(keyId: string): Promise<Key> {
    const key = await this.store.get(keyId);
    if (!key) throw new ProblemError('ERR_KEY_UNKNOWN');
    return key;
  }
}

function nameOf(recipient: Recipient) {
  if ('key' in recipient) {
    const { keyId } = recipient.key;
    const { version } = recipient.exportable;
    return {
      result: { wrappingAlgorithm: 'AES_KEY_WRAP_PAD', recipient: `${keyId}#${version}` },
      record: { toKeyId: keyId, toVersion: version },
    };
  }
  const digest = createHash('sha256').update(Buffer.from(recipient.publicKeySpki, 'base64url')).digest('base64url');
  return { result: { wrappingAlgorithm: recipient.wrappingAlgorithm, recipient: digest }, record: { recipient: digest } };
}
