import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';

export const changeType = 'claviger.change/1';

/** An operation and its input as its strict schema parses it, defaults included, without the envelope (`type`, `requestId`, `change`). */
export interface Command {
  readonly operation: string;
  readonly input: Readonly<Record<string, unknown>>;
}

/** All that an approver agrees to. */
export interface ExactChange extends Command {
  /** Its id. */
  readonly change: string;
  readonly requester: string;
  readonly reason: string;
  readonly quorum: number;
  readonly approvers: readonly string[];
  /** RFC 3339, as it is written in the change. */
  readonly expiresAt: string;
}

/** base64url of the SHA-256 of `{operation, input}` in canonical JSON (RFC 8785): the name of exactly this command. */
export const commandDigest = ({ operation, input }: Command): string => hashed({ operation, input });

/**
 * base64url of the SHA-256 of the canonical JSON (RFC 8785) of `{type: "claviger.change/1", change, requester, operation, input, reason, quorum, approvers,
 * expiresAt}`: the challenge of a WebAuthn assertion, and what an approver's own key signs. Whatever of it is altered is another change.
 */
export function changeChallenge({ change, requester, operation, input, reason, quorum, approvers, expiresAt }: ExactChange): string {
  return hashed({ type: changeType, change, requester, operation, input, reason, quorum, approvers, expiresAt });
}

const hashed = (value: unknown): string => createHash('sha256').update(canonicalize(value)!).digest('base64url');
