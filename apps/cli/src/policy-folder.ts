import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundleFormat, type PolicyBundle } from '@claviger/contracts';
import { CommandError } from './exit-codes';

const files = {
  policies: 'policies.cedar',
  schema: 'schema.cedarschema',
  roles: 'roles.json',
  principals: 'principals.json',
  grants: 'grants.json',
  profiles: 'profiles.json',
  tokens: 'tokens.json',
  quotas: 'quotas.json',
};

/** A bundle as people keep it: Cedar and JSON files in a folder. All JSON files but `roles.json` may be missing. @throws CommandError */
export function readPolicyFolder(folder: string, now: Date): Record<string, unknown> {
  return {
    format: bundleFormat,
    // The service gives the revision; validation wants one.
    revision: 1,
    policies: text(folder, files.policies),
    schema: text(folder, files.schema),
    roles: json(folder, files.roles),
    principals: json(folder, files.principals, []),
    grants: json(folder, files.grants, []),
    ...optional('profiles', json(folder, files.profiles, null)),
    ...optional('tokens', json(folder, files.tokens, null)),
    ...optional('quotas', json(folder, files.quotas, null)),
    publishedAt: now.toISOString(),
  };
}

/** The inverse, to edit what is in force. @throws CommandError; overwrites nothing */
export function writePolicyFolder(folder: string, bundle: PolicyBundle): void {
  mkdirSync(folder, { recursive: true });
  const pretty = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  const contents = {
    [files.policies]: bundle.policies,
    [files.schema]: bundle.schema,
    [files.roles]: pretty(bundle.roles),
    [files.principals]: pretty(bundle.principals),
    [files.grants]: pretty(bundle.grants),
    ...(bundle.profiles ? { [files.profiles]: pretty(bundle.profiles) } : {}),
    ...(bundle.tokens ? { [files.tokens]: pretty(bundle.tokens) } : {}),
    ...(bundle.quotas ? { [files.quotas]: pretty(bundle.quotas) } : {}),
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

const optional = (name: string, value: unknown) => (value === null ? {} : { [name]: value });

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
