import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  appliedSubject,
  auditSubject,
  b64u,
  certifierOf,
  EncryptionContext,
  type ErrorCode,
  ErrorCodeSchema,
  type EventType,
  errorTable,
  eventSubject,
  eventTypes,
  exportedRequests,
  grantedSubjects,
  inboxPrefix,
  internalSubject,
  keyStates,
  limits,
  mayCertify,
  nextGenerationOf,
  outcomeOf,
  PrincipalId,
  ProblemError,
  ProblemSchema,
  parseRequestSubject,
  problem,
  requestSubject,
  SessionId,
  serviceSubject,
  streams,
} from '../src/index';

const principal = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,63}$/);
const session = fc.stringMatching(/^[A-Za-z0-9]{22}$/);
const token = fc.stringMatching(/^[a-z][a-z-]{0,20}$/);
/** NATS subject matching. */
const matches = (pattern: string, subject: string): boolean => {
  const [p, s] = [pattern.split('.'), subject.split('.')];
  for (let n = 0; n < p.length; n++) {
    if (p[n] === '>') return s.length > n;
    if (p[n] !== '*' && p[n] !== s[n]) return false;
  }
  return p.length === s.length;
};

describe('subjects', () => {
  test('what is written is read back, and is granted, exported and subscribed to exactly there', () => {
    fc.assert(
      fc.property(principal, session, token, token, (who, id, service, verb) => {
        const parts = { principal: who, session: id, service, verb };
        const subject = requestSubject(parts);
        expect(parseRequestSubject(subject)).toEqual(parts);
        const { publish, subscribe } = grantedSubjects(who, id);
        expect([matches(publish, subject), matches(exportedRequests, subject), matches(serviceSubject(service), subject)]).toEqual([
          true,
          true,
          true,
        ]);
        expect(matches(subscribe, `${inboxPrefix(who, id)}.x.1`)).toBe(true);
      }),
    );
  });

  test('nobody is granted what belongs to another principal or another session', () => {
    fc.assert(
      fc.property(principal, session, principal, session, (who, id, other, otherId) => {
        fc.pre(who !== other || id !== otherId);
        const { publish, subscribe } = grantedSubjects(who, id);
        expect(matches(publish, requestSubject({ principal: other, session: otherId, service: 'crypto', verb: 'decrypt' }))).toBe(false);
        expect(matches(subscribe, `${inboxPrefix(other, otherId)}.x.1`)).toBe(false);
      }),
    );
  });

  test('anything else is no request subject', () => {
    const wild = fc.array(fc.oneof(fc.constantFrom('*', '>', '', 'claviger', 'v1', 'x', 'A'.repeat(22)), fc.string({ maxLength: 5 })), {
      maxLength: 8,
    });
    fc.assert(
      fc.property(wild, (parts) => {
        const parsed = parseRequestSubject(parts.join('.'));
        if (parsed)
          expect([PrincipalId.safeParse(parsed.principal).success, SessionId.safeParse(parsed.session).success]).toEqual([true, true]);
      }),
    );
    for (const id of ['*', '>', 'A'.repeat(21), 'A'.repeat(23), `${'A'.repeat(21)}*`, `${'A'.repeat(21)}.`, ''])
      expect(parseRequestSubject(`claviger.v1.payments-api.${id}.crypto.encrypt`)).toBeUndefined();
  });

  test('what stays inside CORE is not exported, and no stream takes it', () => {
    for (const subject of [internalSubject('hsm', 'x'), appliedSubject('keys'), auditSubject('policy', 'w')])
      expect(matches(exportedRequests, subject)).toBe(false);
    for (const subject of [internalSubject('hsm', 'x'), appliedSubject('keys')])
      expect(Object.values(streams).some(({ subjects }) => subjects.some((s) => matches(s, subject)))).toBe(false);
  });

  test('each event goes into the stream that its type names, and into no other', () => {
    for (const type of Object.keys(eventTypes) as EventType[]) {
      const into = Object.entries(streams).filter(([, { subjects }]) => subjects.some((s) => matches(s, eventSubject(type, 'tail'))));
      expect([type, into.map(([name]) => name)]).toEqual([type, [eventTypes[type].stream]]);
    }
  });
});

describe('errors', () => {
  const codes = Object.keys(errorTable) as ErrorCode[];
  test.each(codes)('%s says what happened, what to do, and whether to try again', (code) => {
    const { status, title, next, retryable } = errorTable[code];
    expect(code).toMatch(/^ERR_[A-Z_]+$/);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(600);
    expect([title.length > 0, next.endsWith('.')]).toEqual([true, true]);
    expect(ErrorCodeSchema.parse(code)).toBe(code);
    expect(ProblemSchema.parse(problem(code))).toMatchObject({ code, retryable, detail: next });
    // A service that cannot now may later; a denial does not become an approval by asking again.
    if (status === 503) expect(retryable).toBe(true);
    if (status === 403) expect(retryable).toBe(false);
    expect(outcomeOf(code)).toBe(code === 'ERR_DRY_RUN' ? 'dry-run' : [401, 403, 429].includes(status) ? 'denied' : 'failed');
  });

  test('a problem never holds the cause or a stack', () => {
    const error = new ProblemError('ERR_HSM_UNAVAILABLE', undefined, { cause: new Error('pin 1234') });
    expect(JSON.stringify(error.toProblem('r-1'))).not.toMatch(/1234|stack|at /);
    expect(error.toProblem('r-1').requestId).toBe('r-1');
    expect(error.retryable).toBe(true);
  });
});

describe('key states (SP 800-57 Part 1 rev. 5)', () => {
  const states = Object.entries(keyStates);
  test('only active protects; active, suspended and deactivated process', () => {
    expect(states.filter(([, s]) => s.uses.includes('protect')).map(([name]) => name)).toEqual(['active']);
    expect(states.filter(([, s]) => s.uses.includes('process')).map(([name]) => name)).toEqual(['active', 'suspended', 'deactivated']);
  });
  test('nothing comes back from destroyed, nor from compromised but to be destroyed; every state can end', () => {
    expect(keyStates.destroyed.next).toEqual([]);
    expect(keyStates.compromised.next).toEqual(['destroyed']);
    const ends = (from: keyof typeof keyStates, seen = new Set<string>()): boolean =>
      from === 'destroyed' || (!seen.has(from) && keyStates[from].next.some((to) => ends(to, new Set(seen).add(from))));
    for (const [name] of states) expect([name, ends(name as keyof typeof keyStates)]).toEqual([name, true]);
  });
});

describe('primitives', () => {
  test('base64url has one spelling for each byte string', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const text = Buffer.from(bytes).toString('base64url');
        expect(b64u(40).safeParse(text).success).toBe(true);
        const last = text.at(-1);
        if (last === undefined || text.length % 4 === 0) return;
        const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
        const alike = [...alphabet].map((c) => text.slice(0, -1) + c).filter((t) => Buffer.from(t, 'base64url').equals(Buffer.from(bytes)));
        expect(alike.filter((t) => b64u(40).safeParse(t).success)).toEqual([text]);
      }),
    );
    for (const text of ['=', 'AA==', 'A', '+/', 'AA AA', 'ü']) expect(b64u(40).safeParse(text).success).toBe(false);
    expect([b64u(32, 32).safeParse('A'.repeat(43)).success, b64u(32, 32).safeParse('A'.repeat(42)).success]).toEqual([true, false]);
  });

  test('an encryption context cannot name what objects already have, and is bounded', () => {
    expect(EncryptionContext.safeParse({ tenant: 'acme', 'a.b:c/d-e_f': '' }).success).toBe(true);
    for (const context of [
      { _proto: 'x' },
      { '': 'x' },
      { ['k'.repeat(limits.contextKeyChars + 1)]: 'x' },
      { k: 'v'.repeat(limits.contextValueChars + 1) },
      { k: 1 },
      Object.fromEntries(Array.from({ length: limits.contextEntries + 1 }, (_, n) => [`k${n}`, 'v'])),
    ])
      expect(EncryptionContext.safeParse(context).success).toBe(false);
  });

  test('each service has one certifier, and none of the prototype', () => {
    for (const [service, certifier] of Object.entries(certifierOf)) expect(mayCertify(certifier, service)).toBe(true);
    expect(mayCertify('customer-certifier', 'policy')).toBe(false);
    for (const kid of ['customer-certifier-2', 'customer-certifier-10'])
      expect([kid, mayCertify(kid, 'crypto-worker')]).toEqual([kid, true]);
    for (const kid of [
      'customer-certifier-1',
      'customer-certifier-02',
      'customer-certifier-',
      'customer-certifier-2-2',
      'customer',
      'control-certifier-2',
    ])
      expect([kid, mayCertify(kid, 'crypto-worker')]).toEqual([kid, false]);
    expect([nextGenerationOf('c', []), nextGenerationOf('c', ['c', 'd-7']), nextGenerationOf('c', ['c-9', 'c'])]).toEqual([
      'c',
      'c-2',
      'c-10',
    ]);
    expect(mayCertify(undefined as never, 'constructor')).toBe(false);
  });
});
