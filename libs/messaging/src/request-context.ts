import type { Context } from '@opentelemetry/api';

/** Who asked what, as the broker guarantees it: principal and session come from the subject, which nobody else may publish on. */
export interface RequestContext {
  readonly subject: string;
  readonly principal: string;
  readonly session: string;
  readonly service: string;
  readonly verb: string;
  readonly requestId?: string;
  /** The change request that others approved, and that it is to be done by. */
  readonly change?: string;
  /** Operation and input as its schema parsed it, defaults included; of operations that can be done by a change request. */
  readonly command?: { readonly operation: string; readonly input: Readonly<Record<string, unknown>> };
  /** 32 hex digits, when the caller's request is traced. */
  readonly traceId?: string;
  readonly trace: Context;
}
