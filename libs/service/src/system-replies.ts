import { claviger } from '@claviger/authz';
import type { Action, Operation, Result } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import type { About, RecordedReply } from './recorded-reply';

/** Replies to operations on the system as a whole: policy is asked before `work` begins. */
export class SystemReplies {
  constructor(private readonly replies: RecordedReply) {}

  answer<O extends Operation>(
    operation: O,
    context: RequestContext,
    work: () => Result<O> | Promise<Result<O>>,
    about: About = {},
  ): Promise<Answer> {
    return this.replies.answer(operation, context, about, async ({ admit }) => {
      admit(operation.action as Action, claviger);
      return { result: await work() };
    });
  }
}
