import { TokenStatement, tokenStatementType } from '@claviger/contracts';
import { importTrustedKeys, verifyRecord } from '@claviger/messaging';
import type { Command } from 'commander';
import { Finding } from '../exit-codes';
import { readText, writePrivately } from '../files';
import type { Output } from '../output';
import { offline, online } from '../run';
import { required, type Settings } from '../settings';
import { readTrust } from '../site-files';

/** The end of a token, in the group of commands about tokens. */
export function tokenEndingCommands(tokens: Command): void {
  tokens
    .command('prove-empty <label>')
    .description(
      'that a token which another one took the place of holds nothing of Claviger: looks, destroys what is left of its own, signs',
    )
    .option('--leave-foreign', 'what others have put there may stay; it is named in the statement')
    .option('--out <file>', 'write the signed statement there')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .action(
      online<{ leaveForeign?: boolean; out?: string; reason: string }, [string]>(async ({ client, options, output }, token) => {
        const { leaveForeign = false, out, reason } = options;
        const { statement, said } = await client.keys.proveTokenEmpty({ token, leaveForeign, reason });
        if (out !== undefined) writePrivately(out, `${statement}\n`);
        tell(output, said, { statement, ...(out === undefined ? {} : { file: out }) });
        output.note('take the token out of the workers, then erase it by its vendor’s means (docs/operations.md)');
      }),
    );
  tokens
    .command('verify-statement <file>')
    .description('without asking anybody: is this statement about a token signed by the control token in trust.json?')
    .action(
      offline<object, [string]>(async ({ settings, output }, file) => {
        const statement = (await readText(file)).trim();
        tell(output, verified(statement, settings), { statement, verified: true });
      }),
    );
}

/** @throws Finding */
function verified(statement: string, settings: Settings): TokenStatement {
  const trust = readTrust(required(settings, 'trustFile'));
  try {
    return TokenStatement.parse(verifyRecord(tokenStatementType, statement, importTrustedKeys(trust.control)));
  } catch (error) {
    throw new Finding(`this is no statement about a token by a control token of trust.json: ${(error as Error).message}`);
  }
}

function tell(output: Output, said: TokenStatement, about: { statement: string; file?: string; verified?: boolean }): void {
  const { token, at, by, roots, destroyed, remaining } = said;
  output.fields(
    { ...about, said },
    {
      ...{ token: token.label, 'serial number': token.serialNumber, 'objects of Claviger': said.objects },
      roots: roots.map(({ label, destroyedAt }) => `${label}, destroyed ${destroyedAt}`).join('; ') || undefined,
      'destroyed last': destroyed.map((one) => `${one.class} ${one.label}`).join(', ') || undefined,
      'of others': remaining.length,
      ...{ at, by },
      ...(about.file === undefined ? {} : { file: about.file }),
    },
  );
  for (const { class: of, label, id } of remaining)
    output.note(`of others: ${of} ${label || 'without a label'}${id === '' ? '' : `, id ${id}`}`);
}
