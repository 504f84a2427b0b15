import { verify } from 'node:crypto';
import type { FunctionName } from '../fault-token/function-names';
import { Load } from './load';
import { codeIn, type RawCaller } from './raw-caller';

/** What is asked of the worker while its token fails. */
export interface FaultyOperation {
  /** What the token does for it: the first begins, the second ends. */
  functions: readonly [FunctionName, FunctionName];
  /** Keeps what every success gave. */
  load(concurrency: number): Load;
  /** Successes whose result is wrong, asked once the token is well. */
  wrong(): Promise<string[]>;
}

export interface Keys {
  aes: string;
  ec: { keyId: string; pem: string };
  rsa: { keyId: string; pem: string };
}

type Result = Record<string, string>;
const text = (value: string) => Buffer.from(value).toString('base64url');
const plaintext = text('what a fault must not change');
/** Refusals come at once: without a pause they would be thousands. */
const pauseMs = 25;

export async function faultyOperations(caller: RawCaller, { aes, ec, rsa }: Keys): Promise<Record<string, FaultyOperation>> {
  const resultOf = async (operation: string, fields: Record<string, unknown>): Promise<Result> => {
    const reply = await caller.ask(operation, fields);
    if ('problem' in reply) throw new Error(`${operation}: ${reply.problem.code}`);
    return reply.result as Result;
  };
  const opened = async (ciphertext: string) => (await resultOf('crypto.decrypt', { keyId: aes, ciphertext })).plaintext;
  const { ciphertext } = await resultOf('crypto.encrypt', { keyId: aes, plaintext });

  const operation = (
    functions: FaultyOperation['functions'],
    name: string,
    fields: Record<string, unknown>,
    isRight: (result: Result) => boolean | Promise<boolean>,
  ): FaultyOperation => {
    const results: Result[] = [];
    return {
      functions,
      load: (concurrency) =>
        new Load(async (requestId) => {
          const reply = await caller.ask(name, { ...fields, requestId });
          if ('result' in reply) results.push(reply.result as Result);
          else await new Promise((resolve) => setTimeout(resolve, pauseMs));
          return { code: codeIn(reply), receipt: reply.receipt };
        }, concurrency),
      wrong: async () => {
        const given = results.splice(0);
        const right = await Promise.all(given.map(isRight));
        return given.filter((_, n) => !right[n]).map((result) => JSON.stringify(result));
      },
    };
  };
  const signed = ({ keyId, pem }: Keys['ec'], check: (signature: Buffer) => boolean) =>
    operation(
      ['C_SignInit', 'C_Sign'],
      'crypto.sign',
      { keyId, message: plaintext },
      ({ signature }) => pem !== '' && check(Buffer.from(signature as string, 'base64url')),
    );
  const message = Buffer.from(plaintext, 'base64url');
  return {
    encrypt: operation(
      ['C_EncryptInit', 'C_Encrypt'],
      'crypto.encrypt',
      { keyId: aes, plaintext },
      async (result) => (await opened(result.ciphertext as string)) === plaintext,
    ),
    decrypt: operation(
      ['C_DecryptInit', 'C_Decrypt'],
      'crypto.decrypt',
      { keyId: aes, ciphertext },
      (result) => result.plaintext === plaintext,
    ),
    sign: signed(ec, (signature) => verify('sha256', message, { key: ec.pem, dsaEncoding: 'ieee-p1363' }, signature)),
    'sign with RSA': signed(rsa, (signature) => verify('sha256', message, { key: rsa.pem, padding: 6, saltLength: 32 }, signature)),
    datakey: operation(
      ['C_GenerateRandom', 'C_Encrypt'],
      'crypto.generate-data-key',
      { keyId: aes, bytes: 32 },
      async (result) => (await opened(result.ciphertext as string)) === result.plaintext,
    ),
  };
}
