import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { issueText, validateBundle } from '@claviger/authz';
import { bundleFormat, PolicyBundle } from '@claviger/contracts';
import { ConfigurationError } from '@claviger/operability';

/**
 * The first bundle of a new system, from `POLICY_SEED_DIR`: policies.cedar, schema.cedarschema, roles.json, and where there are some
 * principals.json, grants.json, profiles.json and tokens.json. Throws ConfigurationError.
 */
export function readSeed(dir: string, now: Date): PolicyBundle {
  const bundle = {
    format: bundleFormat,
    revision: 1,
    policies: text(dir, 'policies.cedar'),
    schema: text(dir, 'schema.cedarschema'),
    roles: json(dir, 'roles.json'),
    principals: json(dir, 'principals.json', []),
    grants: json(dir, 'grants.json', []),
    ...optional('profiles', json(dir, 'profiles.json', null)),
    ...optional('tokens', json(dir, 'tokens.json', null)),
    publishedAt: now.toISOString(),
  };
  const issues = validateBundle(bundle);
  if (issues.length > 0) throw new ConfigurationError([`POLICY_SEED_DIR: ${issues.map(issueText).join('; ')}`]);
  return PolicyBundle.parse(bundle);
}

const optional = (name: string, value: unknown) => (value === null ? {} : { [name]: value });

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
