import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { principalPattern } from '@claviger/contracts';
import { CommandError } from './exit-codes';

/** Options of every command that talks to Claviger, each with the variable that it falls back to. Secrets come from files only. */
export const settingsOptions = [
  { flag: '--url <url>', name: 'url', variable: 'CLAVIGER_URL', help: 'broker, such as tls://broker:4222; several separated by commas' },
  {
    flag: '--principal <id>',
    name: 'principal',
    variable: 'CLAVIGER_PRINCIPAL',
    help: 'your principal id (default: the subject of a Claviger token)',
  },
  { flag: '--token-file <file>', name: 'tokenFile', variable: 'CLAVIGER_TOKEN_FILE', help: 'file with your token, readable by you only' },
  {
    flag: '--trust-file <file>',
    name: 'trustFile',
    variable: 'CLAVIGER_TRUST_FILE',
    help: 'trust.json, the public keys of the installation',
  },
  { flag: '--ca-file <file>', name: 'caFile', variable: 'CLAVIGER_CA_FILE', help: 'certificate authority of the broker' },
  { flag: '--cert-file <file>', name: 'certFile', variable: 'CLAVIGER_CERT_FILE', help: 'your client certificate' },
  { flag: '--key-file <file>', name: 'keyFile', variable: 'CLAVIGER_KEY_FILE', help: 'private key of the client certificate' },
  { flag: '--timeout-ms <ms>', name: 'timeoutMs', variable: 'CLAVIGER_TIMEOUT_MS', help: 'deadline of each call (default 10000)' },
] as const;
type SettingName = (typeof settingsOptions)[number]['name'];
export type Settings = Partial<Record<SettingName, string>>;

export function readSettings(flags: Record<string, unknown>, environment: NodeJS.ProcessEnv): Settings {
  const given = settingsOptions.map(({ name, variable }) => [
    name,
    (flags[name] as string | undefined) ?? (environment[variable] || undefined),
  ]);
  return Object.fromEntries(given.filter(([, value]) => value !== undefined)) as Settings;
}

/** @throws CommandError naming flag and variable */
export function required(settings: Settings, name: SettingName): string {
  const value = settings[name];
  if (value !== undefined) return value;
  const { flag, variable, help } = settingsOptions.find((option) => option.name === name)!;
  throw new CommandError('configuration', `${variable} is not set: ${help}`, `Set ${variable} or give ${flag}.`);
}

const groupAndOthers = 0o077;

/** @throws CommandError when it cannot be read or others could read it */
export function readTokenFile(path: string): string {
  try {
    const file = openSync(path, 'r');
    try {
      // Of the open file, so that what was checked is what is read.
      if (fstatSync(file).mode & groupAndOthers)
        throw new CommandError('configuration', `${path} can be read by other users`, `chmod 600 ${path}`);
      return readFileSync(file, 'utf8').trim();
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(
      'configuration',
      `The token file ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`,
      'Get one: claviger access issue-token, or claviger bootstrap token.',
    );
  }
}

/** What a token says about its bearer: read to choose how to connect, verified by the broker's callout only. */
export function bearerOf(token: string): { isClaviger: boolean; principal?: string } {
  try {
    const { iss, sub } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as Record<string, unknown>;
    const isClaviger = iss === 'claviger';
    return isClaviger && typeof sub === 'string' && principalPattern.test(sub) ? { isClaviger, principal: sub } : { isClaviger };
  } catch {
    return { isClaviger: false };
  }
}
