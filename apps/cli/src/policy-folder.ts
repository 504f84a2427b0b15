import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { authored } from '@claviger/authz';
import { bundleFormat, type PolicyBundle, policyFolder } from '@claviger/contracts';
import { CommandError } from './exit-codes';

/** A bundle as people keep it: Cedar and JSON files in a folder. All JSON files but `roles.json` may be missing. @throws CommandError */
export function readPolicyFolder(folder: string, now: Date): Record<string, unknown> {
  return {
    format: bundleFormat,
    // The service gives the revision; validation wants one.
    revision: 1,
    policies: text(folder, policyFolder.policies),
    schema: text(folder, policyFolder.schema),
    roles: json(folder, policyFolder.roles),
    ...parts(policyFolder.empty, (name) => json(folder, name, [])),
    ...parts(policyFolder.optional, (name) => json(folder, name, null)),
    publishedAt: now.toISOString(),
  };
}

/** The inverse, to edit what is in force. @throws CommandError; overwrites nothing */
export function writePolicyFolder(folder: string, inForce: PolicyBundle): void {
  // What somebody asked for is no part of what is published.
  const bundle = authored(inForce);
  mkdirSync(folder, { recursive: true });
  const pretty = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  const pretties = (names: object) =>
    Object.entries(names).flatMap(([part, name]) => (part in bundle ? [[name, pretty(bundle[part as keyof PolicyBundle])]] : []));
  const contents: Record<string, string> = {
    [policyFolder.policies]: bundle.policies,
    [policyFolder.schema]: bundle.schema,
    [policyFolder.roles]: pretty(bundle.roles),
    ...Object.fromEntries([...pretties(policyFolder.empty), ...pretties(policyFolder.optional)]),
  };
  for (const [name, content] of Object.entries(contents)) {
    try {
      writeFileSync(join(folder, name), content, { flag: 'wx' });
    } catch (error) {
      throw new CommandError(
        'badInput',
        `${join(folder, name)} cannot be written (${(error as NodeJS.ErrnoException).code})`,
        'Give an empty folder.',
      );
    }
  }
}

/** Each part from its file; a part that is null is none. */
const parts = (names: object, read: (name: string) => unknown) =>
  Object.fromEntries(
    Object.entries(names)
      .map(([part, name]) => [part, read(name as string)])
      .filter(([, value]) => value !== null),
  );

function text(folder: string, name: string): string {
  try {
    return readFileSync(join(folder, name), 'utf8');
  } catch (error) {
    throw new CommandError('badInput', `${join(folder, name)} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function json(folder: string, name: string, absent?: unknown): unknown {
  let content: string;
  try {
    content = readFileSync(join(folder, name), 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && absent !== undefined) return absent;
    throw new CommandError('badInput', `${join(folder, name)} cannot be read (${code})`);
  }
  try {
    return JSON.parse(content);
  } catch {
    throw new CommandError('badInput', `${join(folder, name)} is not JSON`);
  }
}
