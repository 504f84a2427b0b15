import { changeChallenge, signApproval, signerWith } from '@claviger/authz';
import { type ApprovalProof, type ChangeDescription, type ChangeState, ApprovalProof as ProofShape } from '@claviger/contracts';
import type { Command } from 'commander';
import { openKeyFile, passphraseFrom } from '../approval-key-file';
import { changeLines, nextStep } from '../change-text';
import { openTerminal } from '../desk';
import { CommandError } from '../exit-codes';
import { readText, writeBytes } from '../files';
import type { Output } from '../output';
import { wholeNumber } from '../pairs';
import { online } from '../run';
import { assertChange } from '../webauthn';
import { askBrowser, defaultPort } from '../webauthn-page';

/** Commands that others have to approve: asked for, decided on, and done. */
export function changesCommands(program: Command): void {
  const changes = program.command('changes').description('commands that others have to approve first: request, approve, execute');
  changes
    .command('request <operation>')
    .description(
      'send an operation, such as keys.export, with an input as JSON; where policy asks for approval it is requested, else it is done',
    )
    .requiredOption('--input <file>', 'as the operation takes it; - is standard input')
    .requiredOption('--reason <text>', 'for those who approve it; goes into the ledger')
    .hook('preAction', (_, command) => void command.setOptionValue('requestApproval', command.opts().reason))
    .action(
      online<{ input: string }, [string]>(async ({ client, options, output }, operation) => {
        const input = parsed(options.input, await readText(options.input));
        const result = await client.perform(operation, input);
        output.note('No approval was needed: it is done.');
        output.text(result, JSON.stringify(result, null, 2));
      }),
    );
  changes
    .command('list')
    .description('newest first: those that you requested or may approve, or all if you may read them')
    .option('--state <state>', 'requested, approved, executing, executed, failed, rejected, withdrawn or expired')
    .option('--before <time>', 'RFC 3339: older ones')
    .action(
      online<{ state?: ChangeState; before?: string }>(async ({ client, options: { state, before }, output }) => {
        const { changes: found, next } = await client.changes.list({ ...(state ? { state } : {}), ...(before ? { before } : {}) });
        output.table(found, found, [
          { title: 'CHANGE', value: (c) => c.change },
          { title: 'STATE', value: (c) => c.state },
          { title: 'OPERATION', value: (c) => c.operation },
          { title: 'REQUESTER', value: (c) => c.requester },
          { title: 'APPROVED', value: (c) => `${new Set(c.approvals.map(({ approver }) => approver)).size} of ${c.quorum}` },
          { title: 'EXPIRES', value: (c) => c.expiresAt },
          { title: 'REASON', value: (c) => c.reason },
        ]);
        if (next) output.note(`older ones: --before ${next}`);
      }),
    );
  changes
    .command('show <change>')
    .description('what exactly is asked for, by whom and why, and who approved it')
    .action(
      online<object, [string]>(async ({ client, output }, change) => {
        const shown = await client.changes.show({ change });
        output.lines(shown, changeLines(shown));
        output.note(nextStep(shown));
      }),
    );
  changes
    .command('approve <change>')
    .description('see what exactly is asked for, and sign that you approve it')
    .option('--key <file>', 'your key, made by approvals new-key')
    .option('--passphrase-file <file>', 'of that key; default: typed')
    .option('--webauthn', 'with a security key or this device, on a page of your browser')
    .option('--port <n>', 'of localhost, as it was registered', String(defaultPort))
    .option('--jws <file>', 'a compact JWS of it that you made with a key elsewhere (docs/operations.md)')
    .option('--yes', 'do not ask again')
    .action(
      online<{ key?: string; passphraseFile?: string; webauthn?: boolean; port: string; jws?: string; yes?: boolean }, [string]>(
        async ({ client, options, output }, change) => {
          const shown = await client.changes.show({ change });
          const lines = changeLines(shown);
          for (const line of lines) output.note(line);
          // By what is shown here, whatever the service calls it.
          const challenge = changeChallenge(shown);
          if (!options.yes) await agreed();
          const proof = await proofOf(options, { challenge, change, lines, approver: client.principal }, output);
          tell(output, await client.changes.approve({ change, proof }));
        },
      ),
    );
  for (const [name, what] of [
    ['reject', 'say no for good, as somebody who could approve it'],
    ['withdraw', 'take it back'],
  ] as const)
    changes
      .command(`${name} <change>`)
      .description(what)
      .requiredOption('--reason <text>', 'goes into the ledger')
      .action(
        online<{ reason: string }, [string]>(async ({ client, options: { reason }, output }, change) =>
          tell(output, await client.changes[name]({ change, reason })),
        ),
      );
  changes
    .command('execute <change>')
    .description('have your approved change done, once; what comes back is yours alone')
    .option('--out <file>', 'for the result, as JSON, written for your eyes only')
    .action(
      online<{ out?: string }, [string]>(async ({ client, options: { out }, output }, change) => {
        const { operation, input } = await client.changes.show({ change });
        const result = await client.perform(operation, input, { change });
        const text = `${JSON.stringify(result, asText, 2)}\n`;
        if (out === undefined) return output.text(result, text.trimEnd());
        await writeBytes(out, Buffer.from(text));
        output.fields({ change, operation, file: out }, { change, operation, done: 'yes', file: out });
      }),
    );
}

const asText = (_name: string, value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString('base64url') : value);

async function proofOf(
  { key, passphraseFile, webauthn, port, jws }: { key?: string; passphraseFile?: string; webauthn?: boolean; port: string; jws?: string },
  { challenge, change, lines, approver }: { challenge: string; change: string; lines: readonly string[]; approver: string },
  output: Output,
): Promise<ApprovalProof> {
  if ([key, webauthn, jws].filter((one) => one !== undefined).length !== 1)
    throw new CommandError('usage', 'Give one of --key FILE, --webauthn and --jws FILE');
  if (jws !== undefined) return ProofShape.parse({ kind: 'signature', jws: await readText(jws) });
  if (key !== undefined) {
    const own = await openKeyFile(key, await passphraseFrom(passphraseFile, 'Passphrase'));
    const statement = { type: 'claviger.approval/1' as const, change, challenge, approver };
    return { kind: 'signature', jws: signApproval(statement, own.jwk, signerWith(own.privateKey)) };
  }
  const at = wholeNumber('--port', port) as number;
  return assertChange({ challenge, lines }, (ceremony) => askBrowser(ceremony, at, (url) => output.note(`Open in your browser: ${url}`)));
}

async function agreed(): Promise<void> {
  const desk = openTerminal('Give --yes once you have read it with claviger changes show.');
  try {
    if ((await desk.ask('Approve exactly this? Type yes: ')) !== 'yes') throw new CommandError('failed', 'Not approved');
  } finally {
    desk.close();
  }
}

function tell(output: Output, change: ChangeDescription): void {
  output.fields(change, {
    change: change.change,
    state: change.state,
    'approved by': change.approvals.map(({ approver }) => approver).join(', ') || undefined,
  });
  output.note(nextStep(change));
}

function parsed(file: string, text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Told below.
  }
  throw new CommandError('badInput', `${file} is no JSON object`);
}
