import { type Client, type Credential, connect, type OnApprovalRequired } from '@claviger/client';
import { CommandError } from './exit-codes';
import { bearerOf, readTokenFile, required, type Settings } from './settings';

/** Connects, does the work, and always closes. @throws CommandError for missing settings, ClavigerError */
export async function withClient<T>(
  settings: Settings,
  work: (client: Client) => Promise<T>,
  onApprovalRequired?: OnApprovalRequired,
): Promise<T> {
  const servers = required(settings, 'url');
  const timeoutMs = Number(settings.timeoutMs ?? 10_000);
  if (!Number.isInteger(timeoutMs) || timeoutMs < 1) throw new CommandError('configuration', 'CLAVIGER_TIMEOUT_MS must be a whole number');
  const { principal, credential } = identify(settings);
  const { caFile, certFile, keyFile } = settings;
  const client = await connect({
    servers,
    principal,
    credential,
    timeoutMs,
    ...(onApprovalRequired ? { onApprovalRequired } : {}),
    ...(caFile || certFile ? { tls: { caFile, certFile, keyFile } } : {}),
  });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

function identify(settings: Settings): { principal: string; credential: Credential } {
  if (!settings.tokenFile && settings.certFile) return { principal: required(settings, 'principal'), credential: { certificate: true } };
  const file = required(settings, 'tokenFile');
  const { isClaviger, principal } = bearerOf(readTokenFile(file));
  // Read again for each connection: somebody else may have put a fresh one there.
  const source = () => readTokenFile(file);
  return {
    principal: settings.principal ?? principal ?? required(settings, 'principal'),
    credential: isClaviger ? { token: source } : { oidcToken: source },
  };
}
