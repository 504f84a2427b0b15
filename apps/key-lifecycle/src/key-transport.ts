import { randomBytes } from 'node:crypto';
import {
  internalOperations,
  ProblemError,
  type Result,
  transportHsmOperations,
  type WrappedKey,
  type WrappingAlgorithm,
  type WrappingKeySpec,
} from '@claviger/contracts';
import { askInternal } from '@claviger/messaging';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Context } from '@opentelemetry/api';
import type { Assurance } from './assurance';
import type { CurrentKeks } from './current-keks';
import { assertGood, expiryOf, type ImportParameters, newToken, tried } from './import-parameters';
import type { ImportStore } from './import-store';
import type { LeaseBounds } from './invocations';
import { give } from './invocations';
import type { KekStore } from './kek-store';
import type { Key } from './key';
import type { Exportable } from './key-export';
import type { Received } from './key-material';
import type { KeyStore } from './key-store';

const hsmTimeoutMs = 5_000;
/** What comes from elsewhere is kept wrapped, as a secret key is. */
const wrappedAlgorithm = 'AES_256';
const generationTimeoutMs = 30_000;
const attempts = 8;

export interface Offer {
  parameters: ImportParameters;
  token: string;
  publicKeySpki: string;
}

export interface Sent {
  importToken: string;
  wrappedMaterial: string;
  publicKeySpki?: string | undefined;
}

export type Recipient = { publicKeySpki: string; wrappingAlgorithm: WrappingAlgorithm } | { key: Key; exportable: Exportable };

/** Keys that come from elsewhere and go there, by the tokens of the workers. What is in the key's document is decided in key-material.ts and key-export.ts. */
export class KeyTransport {
  constructor(
    private readonly parts: {
      connection: NatsConnection;
      store: KeyStore;
      imports: ImportStore;
      keks: Pick<CurrentKeks, 'of'>;
      kekStore: Pick<KekStore, 'get'>;
      bounds: LeaseBounds;
      assurance: Pick<Assurance, 'only'>;
    },
  ) {}

  /** New import parameters in place of those before. The private half is an RSA key as any other; that it only receives is said where it is unwrapped. */
  async offer(key: Key, wrappingAlgorithm: WrappingAlgorithm, spec: WrappingKeySpec, trace: Context): Promise<Offer> {
    const only = await this.parts.assurance.only(key, wrappedAlgorithm);
    const kek = await this.parts.keks.of(key, trace);
    const { material, publicKeySpki } = await askInternal(
      this.parts.connection,
      internalOperations.generateKey,
      { algorithm: spec, usage: 'sign', custody: 'wrapped', kekId: kek.kekId, kek: kek.material, ...residencyOf(key), ...only },
      { timeoutMs: generationTimeoutMs, trace },
    );
    if (material.custody !== 'wrapped' || publicKeySpki === undefined)
      throw new ProblemError('ERR_ALGORITHM_UNAVAILABLE', `The token that keys are wrapped in has no ${spec}.`);
    const { token, importId, tokenHash } = newToken(randomBytes);
    const expiresAt = expiryOf(Date.now());
    const parameters = { keyId: key.keyId, importId, wrappingAlgorithm, spec, receiver: material, tokenHash, expiresAt, tries: 0 };
    await this.parts.imports.put(parameters);
    return { parameters, token, publicKeySpki };
  }

  /** Throws ERR_ASSURANCE where no token that workers have may hold what is imported. */
  async assertPlace(key: Key): Promise<void> {
    await this.parts.assurance.only(key, wrappedAlgorithm);
  }

  /** The parameters that a token names, with this try counted. Throws ERR_IMPORT_PARAMETERS. */
  async claim(keyId: string, token: string): Promise<ImportParameters> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const stored = await this.parts.imports.get(keyId);
      const good = assertGood(stored?.parameters, token, Date.now());
      if (stored && (await this.parts.imports.change(stored, tried(good)))) return good;
    }
    throw new ProblemError('ERR_CONFLICT');
  }

  /** The material, wrapped under the KEK of the key as it is now. Throws ERR_IMPORT_REFUSED, ERR_KEY_MATERIAL_UNSUITABLE. */
  async receive(key: Key, { wrappingAlgorithm, spec, receiver }: ImportParameters, sent: Sent, trace: Context): Promise<Received> {
    const only = await this.parts.assurance.only(key, wrappedAlgorithm);
    const [kek, under] = [await this.parts.keks.of(key, trace), await this.kekOf(receiver)];
    if (!under)
      throw new ProblemError('ERR_IMPORT_PARAMETERS', 'The key-encryption key that these parameters are under is gone: ask for new ones.');
    return askInternal(
      this.parts.connection,
      transportHsmOperations.receiveKey,
      {
        algorithm: key.algorithm,
        kek: { kekId: kek.kekId, material: kek.material },
        ...residencyOf(key),
        ...only,
        wrappingAlgorithm,
        receiver: { spec, material: receiver, kek: under },
        wrappedMaterial: sent.wrappedMaterial,
        ...(sent.publicKeySpki === undefined ? {} : { publicKeySpki: sent.publicKeySpki }),
      },
      { timeoutMs: hsmTimeoutMs, trace },
    );
  }

  /** Encryptions elsewhere, given out like those of workers. Counted before the material is there; what is counted twice after a crash is on the safe side. */
  async count(keyId: string, version: number, encryptions: number): Promise<void> {
    for (let attempt = 0; encryptions > 0 && attempt < attempts; attempt++) {
      const from = await this.parts.store.invocations(keyId);
      if (!from) throw new ProblemError('ERR_KEY_UNKNOWN');
      const left = this.parts.bounds.max - (from.invocations.given[version] ?? 0);
      if (left <= 0) return;
      const { to, outbox } = give(from.invocations, version, Math.min(encryptions, left), this.parts.bounds, new Date().toISOString());
      if (await this.parts.store.changeInvocations(from, to, outbox)) return;
      if (attempt === attempts - 1) throw new ProblemError('ERR_CONFLICT');
    }
  }

  /** The pair that wrapped is of no more use. That it could not be removed is no failure of the import: it is good for no other. */
  async forget(parameters: ImportParameters): Promise<void> {
    await this.parts.imports.remove(parameters).catch(() => undefined);
  }

  /** A version of a key, wrapped for a recipient. */
  async send(
    key: Key,
    exportable: Exportable,
    recipient: Recipient,
    trace: Context,
  ): Promise<Result<typeof transportHsmOperations.sendKey>> {
    const to = 'key' in recipient ? { key: await this.kept(recipient.key, recipient.exportable) } : recipient;
    return askInternal(
      this.parts.connection,
      transportHsmOperations.sendKey,
      { key: await this.kept(key, exportable), recipient: to },
      { timeoutMs: hsmTimeoutMs, trace },
    );
  }

  private async kept({ keyId, algorithm }: Key, { version, material }: Exportable) {
    const kek = await this.kekOf(material);
    if (!kek) throw new ProblemError('ERR_INTERNAL', `There is no key-encryption key ${material.kekId}.`);
    return { keyId, version, algorithm, material, kek };
  }

  private async kekOf({ kekId }: WrappedKey) {
    const kek = await this.parts.kekStore.get(kekId);
    return kek?.material && { kekId, material: kek.material };
  }
}

const residencyOf = ({ residency }: Pick<Key, 'residency'>) => (residency ? { residency } : {});
