import {
  type Algorithm,
  type AssuredTokens,
  algorithms,
  internalOperations,
  type KekMaterial,
  type KeyUsage,
  limits,
  ProblemError,
  type Residency,
} from '@claviger/contracts';
import { askInternal, Gathering, type Outcome, shortly } from '@claviger/messaging';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Context } from '@opentelemetry/api';
import type { Material } from './key';

/** RSA primes are found by luck: a pair of 4096 bits takes a second, and now and then ten. */
const generationTimeoutMs = 30_000;

export interface MaterialRequest {
  algorithm: Algorithm;
  usage: KeyUsage;
  kekId: string;
  kek: KekMaterial;
  residency?: Residency | undefined;
  /** Only in one of these. */
  tokens?: AssuredTokens | undefined;
  /** The name that a pair gets if it stays in a token. */
  label?: string;
  trace: Context;
}

/**
 * Key material from any worker, wrapped under a KEK. Secret keys that are asked for side by side under one KEK come with one message. A pair is asked for
 * alone: it takes long, and another worker may make the next.
 */
export class MaterialRequests {
  private readonly gatherings = new Map<string, Gathering<MaterialRequest, Material>>();

  constructor(private readonly connection: NatsConnection) {}

  ask(request: MaterialRequest): Promise<Material> {
    return algorithms[request.algorithm].pair ? this.alone(request) : this.gatheringOf(request).ask(request);
  }

  /** One for each KEK as it is wrapped now, and the tokens that its keys may be in. There are few. */
  private gatheringOf({ kekId, kek, tokens = [] }: MaterialRequest): Gathering<MaterialRequest, Material> {
    const id = [kekId, kek.wrapped, ...tokens].join(' ');
    let gathering = this.gatherings.get(id);
    if (!gathering) {
      gathering = new Gathering(limits.batchItems, (requests) => this.together(requests), shortly);
      this.gatherings.set(id, gathering);
    }
    return gathering;
  }

  private async together(requests: MaterialRequest[]): Promise<readonly Outcome<Material>[]> {
    const [first] = requests as [MaterialRequest];
    if (requests.length === 1) return [{ value: await this.alone(first) }];
    const { kekId, kek, tokens, trace } = first;
    const { keys } = await askInternal(
      this.connection,
      internalOperations.generateKeys,
      {
        ...{ kekId, kek, ...(tokens ? { tokens } : {}) },
        keys: requests.map(({ algorithm, usage, residency }) => ({ algorithm, usage, ...(residency ? { residency } : {}) })),
      },
      { timeoutMs: generationTimeoutMs, trace },
    );
    return keys.map((made) => ('problem' in made ? { error: new ProblemError(made.problem.code, made.problem.detail) } : { value: made }));
  }

  private alone({ trace, ...request }: MaterialRequest): Promise<Material> {
    return askInternal(this.connection, internalOperations.generateKey, request, { timeoutMs: generationTimeoutMs, trace });
  }
}
