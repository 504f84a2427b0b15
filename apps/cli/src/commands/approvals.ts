import { existsSync } from 'node:fs';
import { ApprovalKey } from '@claviger/contracts';
import type { Command } from 'commander';
import { newKeyFile, openKeyFile, passphraseFrom } from '../approval-key-file';
import { CommandError } from '../exit-codes';
import { writePrivately } from '../files';
import { wholeNumber } from '../pairs';
import { offline } from '../run';
import { registerCredential } from '../webauthn';
import { askBrowser, defaultPort } from '../webauthn-page';

const enrol = 'Put it into approvalKeys of your entry in principals.json, and have the bundle published: claviger policy publish.';

/** What a person approves changes of others with. */
export function approvalsCommands(program: Command): void {
  const approvals = program.command('approvals').description('your own keys, with which you approve changes of others');
  approvals
    .command('new-key')
    .description('make a key of your own, in a file that your passphrase opens')
    .requiredOption('--out <file>')
    .option('--passphrase-file <file>', 'default: typed')
    .option('--label <text>', 'to tell your keys apart')
    .action(
      offline<{ out: string; passphraseFile?: string; label?: string }>(async ({ options: { out, passphraseFile, label }, output }) => {
        if (existsSync(out))
          throw new CommandError(
            'badInput',
            `${out} is there already`,
            'Give another name: a key that is overwritten approves nothing more.',
          );
        const { jwk, text } = await newKeyFile(await passphraseFrom(passphraseFile, 'New passphrase (12 characters or more)'));
        writePrivately(out, `${text}\n`);
        tell(output, { kind: 'signature', ...(label ? { label } : {}), jwk });
      }),
    );
  approvals
    .command('public-key')
    .description('the public half of such a file, for the policy bundle')
    .requiredOption('--key <file>')
    .option('--passphrase-file <file>', 'default: typed')
    .option('--label <text>')
    .action(
      offline<{ key: string; passphraseFile?: string; label?: string }>(async ({ options: { key, passphraseFile, label }, output }) => {
        const { jwk } = await openKeyFile(key, await passphraseFrom(passphraseFile, 'Passphrase'));
        tell(output, { kind: 'signature', ...(label ? { label } : {}), jwk });
      }),
    );
  approvals
    .command('webauthn <principal>')
    .description('register a security key or this device (WebAuthn) on a page of your browser, for approvals of this principal')
    .option('--port <n>', 'of localhost; it is part of the credential: approvals use the same', String(defaultPort))
    .option('--label <text>', 'to tell your keys apart')
    .action(
      offline<{ port: string; label?: string }, [string]>(async ({ options, output }, principal) => {
        const port = wholeNumber('--port', options.port) as number;
        const ask = (ceremony: Parameters<typeof askBrowser>[0]) =>
          askBrowser(ceremony, port, (url) => output.note(`Open in your browser: ${url}`));
        tell(output, await registerCredential({ principal, label: options.label, port }, ask));
      }),
    );
}

function tell(output: Parameters<Parameters<typeof offline>[0]>[0]['output'], key: ApprovalKey): void {
  const checked = ApprovalKey.parse(key);
  output.text(checked, JSON.stringify(checked, null, 2));
  output.note(enrol);
}
