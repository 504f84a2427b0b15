import { changeableOperations, policyOperations } from '@claviger/contracts';
import type { TlsOptions } from '@nats-io/transport-node';
import { type AlertNotice, type WatchAlertsOptions, watchDurably, watchLive } from './alerts';
import { Caller, type CallOptions, type OnApprovalRequired } from './caller';
import { ClavigerError } from './claviger-error';
import { type Credential, Passes } from './credential';
import { type DataKeyBounds, DataKeys, defaultBounds } from './envelope/data-keys';
import { Envelope } from './envelope/envelope';
import { Link } from './link';
import { bindOperations, type Operations } from './operations';
import { type ReEncryptAllOptions, type ReEncrypted, reEncryptAll, type ToReEncrypt } from './re-encrypt-all';
import { callInput } from './wire';

export interface ConnectOptions {
  /** `nats://` or `tls://` URLs; several in a list or separated by commas. */
  servers: string | readonly string[];
  /** Own principal id: it is part of every subject, and the broker refuses any but the one that the credential belongs to. */
  principal: string;
  credential: Credential;
  tls?: TlsOptions;
  /** Deadline of the first connection and, by default, of each call. Default 5 s. */
  timeoutMs?: number;
  /** Bounds of the data-key cache of `seal` and `open`; `maxUses: 1` turns it off. */
  dataKeys?: Partial<DataKeyBounds>;
  /** Asked when policy wants the approval of others for a call (ERR_APPROVAL_REQUIRED). */
  onApprovalRequired?: OnApprovalRequired;
}

/** `crypto`, `keys`, `policy`, `access`, `audit`, `alerts`: one method per operation of the contract. The rest is made of those. */
export type Client = Operations &
  Pick<Envelope, 'seal' | 'open' | 'sealStream' | 'openStream'> & {
    readonly principal: string;
    /** Session id of the connection in use; changes with each reconnection. */
    readonly session: string | undefined;
    /**
     * An operation that can be done by a change request, by its name, with its input as the change has it: byte strings as base64url.
     * @throws ClavigerError ERR_CHANGE_UNSUPPORTED for another
     */
    perform(operation: string, input: Record<string, unknown>, options?: CallOptions): Promise<Record<string, unknown>>;
    /** Any number of ciphertexts under the newest version, another key or another context; see re-encrypt-all.ts. */
    reEncryptAll(source: AsyncIterable<ToReEncrypt>, options?: ReEncryptAllOptions): AsyncGenerator<ReEncrypted>;
    /** @throws ClavigerError ERR_ACCESS_DENIED when the principal may not read alerts */
    watchAlerts(options?: WatchAlertsOptions): AsyncGenerator<AlertNotice>;
    /** Waits for the answers under way (at most the default deadline), overwrites data keys, closes the connection. */
    close(): Promise<void>;
    [Symbol.asyncDispose](): Promise<void>;
  };

/** @throws ClavigerError ERR_AUTHENTICATION when the broker refuses the credential, ERR_CONNECTION when it is not reached in time */
export async function connect({
  servers,
  principal,
  credential,
  tls,
  timeoutMs = 5_000,
  dataKeys,
  onApprovalRequired,
}: ConnectOptions): Promise<Client> {
  const list = (typeof servers === 'string' ? servers.split(',') : [...servers]).map((server) => server.trim()).filter(Boolean);
  if (list.length === 0) throw new ClavigerError('ERR_CONNECTION', { detail: 'No server URL is given.' });
  const link = new Link({
    servers: list,
    principal,
    passes: new Passes(credential),
    renew: async () => ((await caller.call(policyOperations.issueToken, {})) as { token: string }).token,
    connectTimeoutMs: timeoutMs,
    ...(tls ? { tls } : {}),
  });
  const caller = new Caller(link, timeoutMs, onApprovalRequired);
  const operations = bindOperations((operation, input, options) => caller.call(operation, input, options));
  const envelope = new Envelope(
    new DataKeys(
      {
        async generate(ref, context) {
          const { plaintext, ciphertext, version, keyId } = await operations.crypto.generateDataKey({
            keyId: ref,
            context,
            withPlaintext: true,
          });
          if (!plaintext) throw new ClavigerError('ERR_INTERNAL', { detail: 'The data key came without its plaintext.' });
          return { plaintext, wrapped: ciphertext, version, keyId };
        },
        unwrap: (keyId, wrapped, context) => operations.crypto.decrypt({ keyId, ciphertext: wrapped, context }),
      },
      { ...defaultBounds, ...dataKeys },
    ),
  );
  const close = async () => {
    envelope.close();
    await link.close(timeoutMs);
  };
  try {
    await link.open(timeoutMs);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    ...operations,
    principal,
    get session() {
      return link.current?.id;
    },
    perform: async (name, input, options) => {
      const operation = changeableOperations.get(name);
      if (!operation)
        throw new ClavigerError('ERR_CHANGE_UNSUPPORTED', { detail: `${name} is no operation that can be done by a change request.` });
      return caller.call(operation, callInput(operation, input), options);
    },
    seal: (...args) => envelope.seal(...args),
    open: (...args) => envelope.open(...args),
    sealStream: (...args) => envelope.sealStream(...args),
    openStream: (...args) => envelope.openStream(...args),
    reEncryptAll: (source, options) => reEncryptAll((items) => operations.crypto.reEncryptBatch({ items }), source, options),
    watchAlerts: ({ durable = false, signal } = {}) => (durable ? watchDurably(link, timeoutMs, signal) : watchLive(link, signal)),
    close,
    [Symbol.asyncDispose]: close,
  };
}
