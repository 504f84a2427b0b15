import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { LedgerError, LogVerifier, leafHash, p256PublicKey } from '../src/index';
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

test('stopped anywhere and resumed from its state, a verifier reports what one that saw every leaf does', () => {
  const worker = newWorker();
  const gapped = [worker.next([worker.epochLine, '{"n":0}']), worker.next(['{"n":1}']), worker.next(['{"n":2}', '{}'])];
  const messages = [gapped[0]!.message, finding('clock'), finding('gap'), gapped[2]!.message, worker.next(['{"n":3}']).message];
  const lines = messages.flatMap((message) => message.toString().split('\n')).map((line) => Buffer.from(line));
  const whole = verify(messages).report;
  expect(whole).toMatchObject({ problems: [], batches: 3 });
  expect(whole.findings).toHaveLength(2);
  fc.assert(
    fc.property(fc.array(fc.nat(lines.length), { maxLength: 4 }), (cuts) => {
      let verifier = new LogVerifier(rules);
      for (const [at, line] of lines.entries()) {
        if (cuts.includes(at)) verifier = LogVerifier.resume(rules, JSON.parse(JSON.stringify(verifier.state())));
        expect(verifier.size).toBe(at);
        verifier.add(line);
      }
      expect(verifier.finish()).toEqual(whole);
    }),
    { numRuns: 50 },
  );
});

test('what a resumed verifier is shown is judged by the chains before: a fork, a gap, a chain without its beginning', () => {
  const worker = newWorker();
  const first = new LogVerifier(rules);
  const add = (to: LogVerifier, message: Buffer) =>
    message
      .toString()
      .split('\n')
      .map((line) => to.add(Buffer.from(line)));
  add(first, worker.next([worker.epochLine, '{"n":0}']).message);
  const state = first.state();
  const problems = (message: Buffer) => {
    const resumed = LogVerifier.resume(rules, state);
    add(resumed, message);
    return resumed.finish().problems.map(({ problem }) => problem);
  };
  expect(problems(newWorker().seal(['{}'], { seq: 1, prev: Buffer.alloc(32) }).message)).toEqual(['bad-signature']);
  expect(problems(worker.seal(['{}'], { seq: 1, prev: Buffer.alloc(32) }).message)).toEqual(['fork']);
  expect(problems(worker.seal(['{}'], { seq: 2, prev: Buffer.alloc(32) }).message)).toEqual(['gap']);
  expect(problems(worker.next(['{"n":1}']).message)).toEqual([]);
});

test('there is no state after a problem, and one that was changed is refused or gives another root', () => {
  const worker = newWorker();
  const { message } = worker.next([worker.epochLine, '{"n":0}']);
  const verifier = new LogVerifier(rules);
  for (const line of message.toString().split('\n')) verifier.add(Buffer.from(line));
  const state = JSON.parse(JSON.stringify(verifier.state())) as Record<string, unknown>;
  const other = { ...state, levels: [Buffer.alloc(96, 1).toString('base64url')] };
  expect(LogVerifier.resume(rules, other).root).not.toEqual(verifier.root);
  const [chain, seq, prev] = (state.chains as [string, number, string, string][])[0]!;
  const refused = [
    undefined,
    null,
    {},
    { ...state, format: 'claviger.log-state/2' },
    { ...state, size: -1 },
    { ...state, size: 4 },
    { ...state, levels: ['!'] },
    { ...state, pending: [1] },
    { ...state, chains: [[chain, seq, prev, 'AAAA']] },
    { ...state, chains: [[chain, -1, prev, prev]] },
    { ...state, findings: [{ index: 0 }] },
    { ...state, batches: '1' },
  ];
  for (const changed of refused) expect(() => LogVerifier.resume(rules, changed)).toThrow(LedgerError);
  verifier.add(Buffer.from('{}'));
  verifier.add(Buffer.from(message.toString().split('\n').at(-1)!));
  expect(verifier.state()).toBeUndefined();
});
