import { createHash } from 'node:crypto';
import { type KeyView, ProblemError, type Request, transportHsmOperations, type WrappedKey } from '@claviger/contracts';
import { HsmError, type KeyHandle, type ReceivedMaterial, type Token } from '@claviger/hsm';
import { type Answer, AuditTrail } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { hsmAnswer } from './hsm-answer';
import { KeyHolder } from './key-holder';
import { assertSendable } from './sendable';
import { TokenBreaker } from './token-breaker';
import { Tokens } from './tokens';

type Ops = typeof transportHsmOperations;
type Kept = Request<Ops['sendKey']>['key'];

/** Keys that come from elsewhere and go there, for key-lifecycle, over internal subjects that only it may publish on. They are in clear only inside the token. */
@Controller()
export class TransportController {
  constructor(
    private readonly tokens: Tokens,
    private readonly keys: KeyHolder,
    private readonly breaker: TokenBreaker,
    private readonly trail: AuditTrail,
  ) {}

  @MessagePattern(transportHsmOperations.receiveKey.name)
  receive(@Payload() request: Request<Ops['receiveKey']>): Promise<Answer> {
    const { algorithm, kek, receiver, wrappingAlgorithm: scheme, wrappedMaterial, publicKeySpki, residency, tokens } = request;
    return hsmAnswer(this.breaker, () => {
      const token = this.keys.commonToken([kek.material, receiver.kek.material]);
      this.tokens.assertResides(residency, token.label);
      this.tokens.assertAssured(tokens, token.label);
      const privateKey = token.unwrapReceiver({
        ...materialOf(receiver.material),
        ...{ algorithm: receiver.spec, wrappingKey: this.keys.unwrapKek(receiver.kek.kekId, receiver.kek.material), scheme },
      });
      try {
        const wrappingKey = this.keys.unwrapKek(kek.kekId, kek.material);
        const said = publicKeySpki === undefined ? {} : { publicKeySpki: bytes(publicKeySpki) };
        const blob = bytes(wrappedMaterial);
        const received = byOthers(() => token.unwrapFromSender({ blob, scheme, receiver: privateKey, algorithm, wrappingKey, ...said }));
        return encoded(received, kek.kekId);
      } finally {
        destroy(token, privateKey);
      }
    });
  }

  @MessagePattern(transportHsmOperations.sendKey.name)
  send(@Payload() { key, recipient }: Request<Ops['sendKey']>): Promise<Answer> {
    return hsmAnswer(this.breaker, async () => {
      const token = this.keys.commonToken([key.kek.material, ...('key' in recipient ? [recipient.key.kek.material] : [])]);
      const sent = await this.sendable(key, 'sent', token);
      if ('key' in recipient) await this.sendable(recipient.key, 'recipient', token);
      const made = this.wrapped(token, key, recipient);
      // Whatever key-lifecycle says of it: what left is in the ledger by the hand of who sent it, before it is out.
      await this.trail.operation({
        ...{ action: 'hsm:SendKey', principal: 'crypto-worker', session: 'internal', outcome: 'success' },
        ...{ keyId: key.keyId, version: key.version, revisions: { key: sent.revision }, ...takerOf(recipient) },
      });
      return { wrappedMaterial: text(made) };
    });
  }

  private async sendable(asked: Kept, as: 'sent' | 'recipient', token: Token): Promise<KeyView> {
    const key = await this.keys.newest(asked.keyId);
    this.tokens.assertResides(key.residency, token.label);
    assertSendable(key, asked, as);
    return key;
  }

  private wrapped(token: Token, key: Kept, recipient: Request<Ops['sendKey']>['recipient']): Buffer {
    const about = { ...materialOf(key.material), algorithm: key.algorithm };
    const wrappingKey = this.kekOf(key);
    if ('key' in recipient) {
      const { algorithm, material } = recipient.key;
      const under = token.unwrap({ ...materialOf(material), algorithm, wrappingKey: this.kekOf(recipient.key), usage: 'wrap' });
      try {
        return token.rewrap({ ...about, from: wrappingKey, to: under }).wrapped;
      } finally {
        destroy(token, under);
      }
    }
    const { publicKeySpki, wrappingAlgorithm: scheme } = recipient;
    return byOthers(() => token.wrapToRecipient({ ...about, wrappingKey, scheme, recipient: bytes(publicKeySpki) }));
  }

  private kekOf({ kek }: Kept): KeyHandle {
    return this.keys.unwrapKek(kek.kekId, kek.material);
  }
}

/** What is the sender's or the recipient's doing is no failure of the token. Of a blob that does not open nobody learns why. */
function byOthers<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw (error instanceof HsmError && othersDoing(error)) || error;
  }
}

function othersDoing({ code, what }: HsmError): ProblemError | undefined {
  switch (code) {
    case 'HSM_WRAPPED_KEY_INVALID':
      return new ProblemError('ERR_IMPORT_REFUSED');
    case 'HSM_KEY_UNSUITABLE':
      return new ProblemError('ERR_KEY_MATERIAL_UNSUITABLE');
    case 'HSM_ARGUMENT_INVALID':
      return new ProblemError('ERR_MALFORMED_REQUEST', `${what}.`);
    default:
      return undefined;
  }
}

/** A session object that is still there dies with its session; the failure that matters is thrown already. */
function destroy(token: Token, key: KeyHandle): void {
  try {
    token.destroyObject(key);
  } catch {
    // As above.
  }
}

const takerOf = (recipient: Request<Ops['sendKey']>['recipient']) =>
  'key' in recipient
    ? { toKeyId: recipient.key.keyId, toVersion: recipient.key.version }
    : { recipient: text(createHash('sha256').update(bytes(recipient.publicKeySpki)).digest()) };

const bytes = (b64u: string): Buffer => Buffer.from(b64u, 'base64url');
const text = (value: Buffer): string => value.toString('base64url');
const materialOf = ({ wrapped, mechanism }: WrappedKey) => ({ wrapped: bytes(wrapped), mechanism });
const encoded = ({ wrapped, mechanism, family, publicKeySpki, checkValue }: ReceivedMaterial, kekId: string) => ({
  material: { custody: 'wrapped', kekId, mechanism, family, wrapped: text(wrapped) },
  ...(publicKeySpki ? { publicKeySpki: text(publicKeySpki) } : {}),
  checkValue: text(checkValue),
});
