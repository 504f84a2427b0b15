import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { workspaceRoot } from '@claviger/testing';
import { expect, test } from '@jest/globals';
import type { Command } from 'commander';
import { createProgram } from '../src/program';

/** `keys create`, `drill dr`: every command that does something. */
const leaves = (command: Command, before: string[] = []): string[] =>
  command.commands.flatMap((one) => (one.commands.length > 0 ? leaves(one, [...before, one.name()]) : [[...before, one.name()].join(' ')]));

test('the list of commands in the README is that of the program', () => {
  const text = readFileSync(join(workspaceRoot(), 'apps/cli/README.md'), 'utf8');
  const section = text.slice(text.indexOf('\n## Commands\n'), text.indexOf('\nSettings are'));
  const listed = [...section.matchAll(/^- \*\*(.+?)\*\*: `(.+?)`/gm)].flatMap(([, group, names]) =>
    (names as string).split(' ').map((name) => (group === 'use' || group === 'others' ? name : `${group} ${name}`)),
  );
  expect(listed.sort()).toEqual(leaves(createProgram()).sort());
});
