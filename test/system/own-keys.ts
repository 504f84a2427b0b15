import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand, workspaceRoot } from '@claviger/testing';
import type { CliCallers } from './cli-caller';

/** The command lines of a section of docs/operations.md, one list for each block. */
export function blocksOf(section: string): string[][] {
  const text = readFileSync(join(workspaceRoot(), 'docs/operations.md'), 'utf8');
  const from = text.indexOf(`\n## ${section}\n`);
  const body = text.slice(from + 1, text.indexOf('\n## ', from + 2));
  return [...body.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, lines]) => (lines as string).trim().split('\n'));
}

/** Runs lines as somebody would who stands in the folder of the callers; `before` says what the lines leave to the reader. */
export async function run(cli: CliCallers, lines: readonly string[], before = '', who = 'kim') {
  const bin = cli.file('bin');
  mkdirSync(bin, { recursive: true });
  const main = join(workspaceRoot(), 'dist/apps/cli/main.js');
  writeFileSync(join(bin, 'claviger'), `#!/bin/sh\nexec ${process.execPath} ${main} "$@"\n`);
  chmodSync(join(bin, 'claviger'), 0o755);
  const script = ['set -e', 'cd "$FOLDER"', before, ...lines].join('\n');
  const env = { ...cli.environmentOf(who), PATH: `${bin}:${process.env.PATH}`, FOLDER: cli.file('.') };
  return runCommand('bash', ['--norc', '-c', script], { allowFailure: true, env });
}
