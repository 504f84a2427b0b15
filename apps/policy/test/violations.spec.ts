import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SessionView } from '@claviger/contracts';
import { createLogger } from '@claviger/operability';
import { temporaryFolder } from '@claviger/testing';
import { expect, test } from '@jest/globals';
import { Violations } from '../src/violations';
import { sessionId } from './policy-system';

test('a line counts for a session only when it is of the connection that the broker admitted as it', async () => {
  const folder = await temporaryFolder('violations');
  const file = join(folder.path, 'broker.log');
  await writeFile(file, '');
  const session = sessionId();
  const held = { session, principal: 'pay', client: 58 } as SessionView;
  const appended: Record<string, unknown>[] = [];
  const trail = {
    append: async (entry: Record<string, unknown>) => {
      appended.push(entry);
      return { worker: 'w', epoch: 'e', seq: 0, batchHash: '', index: 0 };
    },
  };
  const violations = new Violations(file, (id) => (id === session ? held : undefined), trail as never, createLogger('test'));
  await violations.start(3_600_000);
  const line = (cid: number, name: string, subject: string) =>
    `[1] 2026/11/24 23:57:52.478924 [ERR] 127.0.0.1:1 - cid:${cid} - "v3.4.0:nats.js:${name}" - "CLIENTS/user:pay" - Publish Violation - Subject "${subject}"\n`;
  await appendFile(
    file,
    line(58, session, 'mine') + line(58, session, 'mine') + line(59, session, 'forged') + line(58, sessionId(), 'unknown'),
  );
  await violations.stop();
  expect(appended).toEqual([{ kind: 'violation', session, violation: 'publish', subject: 'mine', principal: 'pay', count: 2 }]);
  await folder.remove();
});
