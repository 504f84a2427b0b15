import type { Context } from '@opentelemetry/api';

/** Who asked what, as the broker guarantees it: principal and session come from the subject, which nobody else may publish on. */
export interface RequestContext {
  readonly subject: string;
  readonly principal: string;
  readonly session: string;
  readonly service: string;
  readonly verb: string;
  readonly requestId?: string;
  /** 32 hex digits, when the caller's request is traced. */
  readonly traceId?: string;
  readonly trace: Context;
}
