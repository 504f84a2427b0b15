import type { Action } from '@claviger/contracts';

/** What policy may read of a key. `owner`, `consumers` and `createdBy` are principal ids; `createdBy` is absent where the asker does not know it. */
export interface KeyAttributes {
  readonly environment: string;
  readonly classification: string;
  readonly owner: string;
  readonly consumers: readonly string[];
  readonly algorithm: string;
  readonly usage: string;
  readonly state?: string;
  readonly createdBy?: string;
  /** Absent: anywhere. */
  readonly residency?: readonly string[];
  readonly tags?: Readonly<Record<string, string>>;
}

/**
 * `revision` must determine `attrs`: a decision is remembered under the attributes, or under id and revision where policies name keys. A key that does not
 * exist yet is `proposed`: then nothing is remembered under its id. `attrs` is not changed afterwards.
 */
export interface KeyResource {
  readonly type: 'Key';
  readonly id: string;
  readonly revision: number | 'proposed';
  readonly attrs: KeyAttributes;
}
export interface SystemResource {
  readonly type: 'System';
  readonly id: string;
}
export type Resource = KeyResource | SystemResource;

export interface RequestContext {
  /** The session was opened with more than one factor. */
  readonly mfa: boolean;
  readonly authMethod: string;
  /** Absent where the identity provider said none. */
  readonly acr?: string | undefined;
  /** Milliseconds since 1970-01-01 UTC. */
  readonly nowMs: number;
  /** Whole seconds. */
  readonly sessionAgeSeconds?: number;
  /** IPv4 or IPv6 address in clear; absent where only a commitment to it is known. */
  readonly ip?: string;
  readonly encryptionContext?: Readonly<Record<string, string>>;
  /** Of a hand-over: the principal id of who is to own the key. A decision about it is never remembered. */
  readonly newOwner?: string;
}

export interface AuthorizationRequest {
  readonly principalId: string;
  readonly action: Action;
  readonly resource: Resource;
  readonly context: RequestContext;
}

/** Most actions are about the system as a whole. */
export const claviger: SystemResource = { type: 'System', id: 'claviger' };
