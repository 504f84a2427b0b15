import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { ClavigerError, type Client } from '@claviger/client';
import { EncryptionContext, limits } from '@claviger/contracts';
import type { Command } from 'commander';
import { z } from 'zod';
import { CommandError, Finding } from '../exit-codes';
import { bar } from '../job-progress';
import { type FileLine, linesOf } from '../line-file';
import type { Output } from '../output';
import { pairs, wholeNumber } from '../pairs';
import { ResumableOutput } from '../resumable-output';
import { collect, online } from '../run';

/** One line of the input. `id` is the caller's own, such as the primary key of a row: it stands in the output again. */
const InputLine = z.strictObject({
  id: z.union([z.string().max(512), z.number()]).optional(),
  ciphertext: z.string().min(1).max(limits.ciphertextChars),
  context: EncryptionContext.optional(),
  toContext: EncryptionContext.optional(),
});
type InputLine = z.infer<typeof InputLine>;

/** A ciphertext and two contexts of the largest size. */
const lineBytesMax = limits.ciphertextChars + 2 * limits.contextEntries * (limits.contextKeyChars + 6 * limits.contextValueChars) + 4_096;

interface Options {
  in: string;
  out: string;
  context?: string[];
  toKey?: string;
  toContext?: string[];
  inFlight: string;
  failuresMost: string;
}

/** A whole table or bucket of ciphertexts, after a rotation, before a deletion, or when a key is compromised. */
export function reEncryptAllCommand(program: Command): void {
  program
    .command('re-encrypt-all <key>')
    .description(
      'bring any number of ciphertexts under the newest version, another key or another context, inside the HSM: one JSON object a line, {"id", "ciphertext", "context"}; interrupted, the same command goes on',
    )
    .requiredOption('--in <file>', 'lines to read')
    .requiredOption('--out <file>', 'lines with the new ciphertexts, or with what is wrong with one, in the same order')
    .option('--context <name=value>', 'encryption context of lines that have none; may be repeated', collect)
    .option('--to-key <key>', 'default: the same key')
    .option('--to-context <name=value>', 'default: the same context; may be repeated', collect)
    .option('--in-flight <n>', 'batches of a hundred that are under way at once', '4')
    .option('--failures-most <n>', 'stop when more lines than that fail', '1000')
    .action(online<Options, [string]>(async ({ client, options, output }, keyId) => reEncryptFile(client, keyId, options, output)));
}

async function reEncryptFile(client: Client, keyId: string, options: Options, output: Output): Promise<void> {
  const [inFlight, failuresMost] = [wholeNumber('--in-flight', options.inFlight), wholeNumber('--failures-most', options.failuresMost)];
  if (inFlight === undefined || inFlight < 1 || inFlight > 64) throw new CommandError('usage', '--in-flight wants 1 to 64');
  const [context, toContext] = [pairs('context', options.context), pairs('to-context', options.toContext)];
  const task = createHash('sha256')
    .update(JSON.stringify([keyId, options.toKey, context, toContext]))
    .digest('base64url');
  const totalBytes = sizeOf(options.in);
  const out = ResumableOutput.open(options.out, task);
  if (out.done.lines > 0) output.note(`going on after line ${out.done.lines}`);
  const begun = performance.now();
  const { lines: before, failed: failedBefore } = out.done;
  const waiting: { line: FileLine; input: InputLine }[] = [];
  let bytes = 0;
  let isSame = before === 0;

  async function* source() {
    for await (const line of linesOf(createReadStream(options.in, { highWaterMark: 1 << 20 }), lineBytesMax)) {
      bytes += Buffer.byteLength(line.text) + 1;
      if (line.number <= before) {
        if (line.number === before) isSame = out.assertSameInput(line.digest());
        continue;
      }
      const input = parsed(line);
      waiting.push({ line, input });
      yield {
        keyId,
        ciphertext: input.ciphertext,
        ...present({ context: input.context ?? context, toContext: input.toContext ?? toContext, toKeyId: options.toKey }),
      };
    }
  }

  const tooMany = (problem: string) =>
    new Finding(
      `${out.done.failed} lines failed, the last one with ${problem}. The same command tries the last ${out.failedInRow} again; --failures-most N lets more of them fail`,
    );
  try {
    for await (const outcome of client.reEncryptAll(source(), { inFlight })) {
      const { line, input } = waiting.shift() as (typeof waiting)[number];
      const failed = 'problem' in outcome;
      const made = failed
        ? { problem: { code: outcome.problem.code, detail: outcome.problem.detail } }
        : { ciphertext: outcome.result.ciphertext, keyId: outcome.result.keyId, version: outcome.result.version };
      out.append(JSON.stringify({ ...(input.id === undefined ? {} : { id: input.id }), ...made }), line, failed);
      if (failed && out.done.failed - failedBefore > (failuresMost as number))
        throw tooMany(`${outcome.problem.code}: ${outcome.problem.detail}`);
      const rate = Math.round((1_000 * (line.number - before)) / Math.max(1, performance.now() - begun));
      output.progress(
        `${bar(totalBytes === 0 ? 1 : Math.min(1, bytes / totalBytes))} line ${line.number}, ${rate}/s, ${out.done.failed} failed`,
      );
    }
  } catch (error) {
    out.flush();
    output.progress(undefined);
    if (error instanceof ClavigerError) output.note('what is done is kept: the same command goes on after the last good line');
    if (error instanceof RangeError) throw new CommandError('badInput', `${options.in}: ${error.message}`);
    throw error;
  }
  output.progress(undefined);
  if (!isSame) out.assertSameInput('shorter than what is done');
  const { lines, failed } = out.done;
  out.finish();
  output.fields({ lines, failed, out: options.out }, { lines, failed, file: options.out });
  if (failed > 0) throw new Finding(`${failed} of ${lines} line(s) could not be re-encrypted: they say why in ${options.out}`);
}

/** @throws CommandError */
function parsed({ text, number }: FileLine): InputLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new CommandError('badInput', `line ${number} is not JSON`, 'Mend it and repeat the command: it goes on there.');
  }
  const { data, error } = InputLine.safeParse(value);
  if (!data) {
    const [issue] = error.issues;
    throw new CommandError(
      'badInput',
      `line ${number}: ${issue?.path.join('.') || 'it'}: ${issue?.message}`,
      'Mend it and repeat the command: it goes on there.',
    );
  }
  return data;
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch (error) {
    throw new CommandError('badInput', `${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

const present = <T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: NonNullable<T[K]> };
