import { keyResource } from '@claviger/authz';
import type { Action, Operation } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { type Admit, named, RecordedReply } from '@claviger/service';
import type { Key } from './key';
import { KeyCommands } from './key-commands';
import { describeKey } from './key-description';
import { NamedKeys } from './named-keys';

/** A command that changes one key: policy decides on the key as it is when the command is carried out; the change is followed to the workers, and recorded. */
export class RecordedChange {
  constructor(
    private readonly replies: RecordedReply,
    private readonly commands: KeyCommands,
    private readonly names: NamedKeys,
  ) {}

  answer(
    operation: Operation,
    { keyId: ref, reason }: { keyId: string; reason: string },
    context: RequestContext,
    decide: (key: Key, admitAlso: Admit) => Key | Promise<Key>,
    /** What policy may look at beside the key. */
    more: { newOwner?: string } = {},
  ): Promise<Answer> {
    const about = { ...named(ref), reason };
    return this.replies.answer(operation, context, about, async ({ admit, admitAlso, intend }) => {
      const keyId = await this.names.idOf(about, admit);
      const { key, reached, recorded } = await this.commands.change(
        keyId,
        async (current) => {
          admit(operation.action as Action, keyResource(current), more);
          const decided = await decide(current, admitAlso);
          // Policies may look at tags: who takes one away must be allowed to with and without it.
          if (decided.tags !== current.tags) {
            admitAlso(operation.action as Action, { ...keyResource(decided), revision: 'proposed' });
          }
          return decided;
        },
        ({ primaryVersion, revision }) => intend({ version: primaryVersion, revision }),
      );
      return { result: { key: describeKey(key), ...reached }, record: { version: key.primaryVersion }, recorded };
    });
  }
}
