import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { issueText, validateBundle } from '@claviger/authz';
import { bundleFormat, PolicyBundle, policyFolder } from '@claviger/contracts';
import { ConfigurationError } from '@claviger/operability';

/** The first bundle of a new system, from `POLICY_SEED_DIR`: the files of `policyFolder`. Throws ConfigurationError. */
export function readSeed(dir: string, now: Date): PolicyBundle {
  const bundle = {
    format: bundleFormat,
    revision: 1,
    policies: text(dir, policyFolder.policies),
    schema: text(dir, policyFolder.schema),
    roles: json(dir, policyFolder.roles),
    ...parts(policyFolder.empty, (name) => json(dir, name, [])),
    ...parts(policyFolder.optional, (name) => json(dir, name, null)),
    publishedAt: now.toISOString(),
  };
  const issues = validateBundle(bundle);
  if (issues.length > 0) throw new ConfigurationError([`POLICY_SEED_DIR: ${issues.map(issueText).join('; ')}`]);
  return PolicyBundle.parse(bundle);
}

/** Each part from its file; a part that is null is none. */
const parts = (names: object, read: (name: string) => unknown) =>
  Object.fromEntries(
    Object.entries(names)
      .map(([part, name]) => [part, read(name as string)])
      .filter(([, value]) => value !== null),
  );

function text(dir: string, name: string): string {
  try {
    return readFileSync(join(dir, name), 'utf8');
  } catch (error) {
    throw new ConfigurationError([`POLICY_SEED_DIR: ${name} cannot be read (${(error as NodeJS.ErrnoException).code})`]);
  }
}

function json(dir: string, name: string, absent?: unknown): unknown {
  let content: string;
  try {
    content = readFileSync(join(dir, name), 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && absent !== undefined) return absent;
    throw new ConfigurationError([`POLICY_SEED_DIR: ${name} cannot be read (${code})`]);
  }
  try {
    return JSON.parse(content);
  } catch {
    throw new ConfigurationError([`POLICY_SEED_DIR: ${name} is not JSON`]);
  }
}
