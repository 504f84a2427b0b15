import type { Command } from 'commander';
import { CommandError } from './exit-codes';
import { readText, type SecretTarget, toStandardOutput, writeBytes } from './files';
import { pairs } from './pairs';

export interface Data {
  in?: string;
  out?: string;
  context?: string[];
  dryRun?: boolean;
}
export const context = (options: Data) => {
  const given = pairs('context', options.context);
  return given ? { context: given } : {};
};
export const dry = ({ dryRun }: Data) => (dryRun ? { dryRun } : {});
export async function write(value: Buffer, out: string | undefined, show: (text: string) => void): Promise<void> {
  const text = value.toString('base64url');
  if (out !== undefined) await writeBytes(out, Buffer.from(`${text}\n`));
  else show(text);
}

export const readBase64url = async (file: string, what: string): Promise<Buffer> => base64url(await readText(file), file, what);

export function base64url(text: string, file: string, what: string): Buffer {
  const value = Buffer.from(text, 'base64url');
  if (value.length === 0 || value.toString('base64url') !== text) throw new CommandError('badInput', `${file} does not hold ${what}`);
  return value;
}

export async function deliver(secret: Uint8Array, { out }: SecretTarget): Promise<void> {
  if (out !== undefined) return writeBytes(out, secret);
  await toStandardOutput(
    (async function* () {
      yield secret;
    })(),
  );
}

/** What every command on one key has. */
export const onKey = (program: Command, name: string, summary: string): Command =>
  program.command(`${name} <key>`).description(summary).option('--dry-run', 'check everything, record it, and do nothing');
