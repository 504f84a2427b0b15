import { expect, test } from '@jest/globals';
import { LogVerifier, leafHash, p256PublicKey } from '../src/index';
import { referenceRoot } from './memory-log';
import { certifier, newWorker, spki } from './worker-chain';

const certifiers = new Map([['certifier-1', p256PublicKey(spki(certifier))]]);
const rules = { certifiers, mayCertify: (kid: string, service: string) => kid === 'certifier-1' && service === 'crypto-worker' };

function verify(messages: readonly (Buffer | string)[], given = rules) {
  const verifier = new LogVerifier(given);
  const lines = messages.flatMap((message) => message.toString().split('\n')).map((line) => Buffer.from(line));
  for (const line of lines) verifier.add(line);
  return { report: verifier.finish(), lines };
}
const finding = (name: string, epoch = 'e1') => `{"kind":"finding","finding":"${name}","epoch":"${epoch}","detail":"d"}`;

test('a log of whole chains has no problem, and the root of its leaves', () => {
  const worker = newWorker();
  const messages = [worker.next([worker.epochLine, '{"n":0}']).message];
  for (let n = 1; n < 20; n++) messages.push(worker.next([`{"n":${n}}`, '{}']).message);
  const { report, lines } = verify(messages);
  expect(report).toMatchObject({ size: lines.length, batches: 20, records: 40, chains: 1, problems: [], findings: [] });
  expect(report.root).toEqual(referenceRoot(lines.map(leafHash)));
});

test('a leaf changed, left out, added or moved is a problem', () => {
  const worker = newWorker();
  const lines = [worker.next([worker.epochLine, '{"n":0}']), worker.next(['{"n":1}', '{"n":2}'])].flatMap(({ message }) =>
    message.toString().split('\n'),
  );
  const problems = (changed: string[]) => verify(changed).report.problems.map(({ problem }) => problem);
  expect(problems(lines)).toEqual([]);
  expect(problems(lines.with(3, '{"n":9}'))).toEqual(['records-hash']);
  expect(problems(lines.toSpliced(1, 1))).not.toEqual([]);
  expect(problems(lines.toSpliced(3, 0, '{"n":9}'))).toEqual(['a leaf that belongs to no batch']);
  expect(problems(lines.with(3, lines[4]!).with(4, lines[3]!))).toEqual(['records-hash']);
  expect(problems(lines.slice(0, -1))).toEqual(['records without a seal', 'records without a seal']);
});

test('a gap is a problem unless the ledger has found it itself, for that chain', () => {
  const worker = newWorker();
  const [first, , third] = [worker.next([worker.epochLine]), worker.next(['{"n":1}']), worker.next(['{"n":2}'])].map(
    ({ message }) => message,
  ) as [Buffer, Buffer, Buffer];
  expect(verify([first, third]).report.problems).toMatchObject([{ index: 3, problem: 'gap' }]);
  expect(verify([first, finding('gap', 'e2'), third]).report.problems).toMatchObject([{ problem: 'gap' }]);
  const { problems, findings } = verify([first, finding('gap'), third]).report;
  expect({ problems, findings }).toEqual({ problems: [], findings: [{ index: 2, finding: 'gap', detail: 'd' }] });
});

test('a chain of an unknown or unallowed certifier is a problem', () => {
  const worker = newWorker();
  const { message } = worker.next([worker.epochLine]);
  expect(verify([message], { ...rules, certifiers: new Map() }).report.problems).toMatchObject([{ problem: 'unknown-certifier' }]);
  expect(verify([message], { ...rules, mayCertify: () => false }).report.problems).toMatchObject([{ problem: 'certifier-not-allowed' }]);
});
