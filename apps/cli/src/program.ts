import { Command } from 'commander';
import { accessCommands } from './commands/access';
import { alertsCommands } from './commands/alerts';
import { algorithmsCommand } from './commands/algorithms';
import { approvalsCommands } from './commands/approvals';
import { auditCommands } from './commands/audit';
import { backupCommands } from './commands/backup';
import { bootstrapCommands } from './commands/bootstrap';
import { ceremonyCommands } from './commands/ceremony';
import { changesCommands } from './commands/changes';
import { complianceCommands } from './commands/compliance';
import { cryptoCommands } from './commands/crypto';
import { discoverCommands } from './commands/discover';
import { drillCommands } from './commands/drill';
import { jobsCommands } from './commands/jobs';
import { keksCommands } from './commands/keks';
import { keyEstablishmentCommands } from './commands/key-establishment';
import { keysCommands } from './commands/keys';
import { policyCommands } from './commands/policy';
import { quotasCommands } from './commands/quotas';
import { reEncryptAllCommand } from './commands/re-encrypt-all';
import { restoreCommand } from './commands/restore';
import { reviewsCommands } from './commands/reviews';
import { statusCommand } from './commands/status';
import { tokensCommands } from './commands/tokens';
import { assertDistinctOutputs } from './distinct-outputs';
import { settingsOptions } from './settings';

export function createProgram(): Command {
  const program = new Command('claviger')
    .description('Ask Claviger, the key management system over NATS.')
    .option('--json', 'results as JSON')
    .showHelpAfterError('(claviger <command> --help says more)')
    .configureHelp({ showGlobalOptions: true })
    .hook('preAction', (_, command) => assertDistinctOutputs(command))
    .exitOverride();
  program
    .option('--request-approval <reason>', 'where policy asks for the approval of others: request it, with this reason')
    .option('--expires-in-hours <n>', 'of such a request (default 72, at most 336)')
    .option('--change <id>', 'where policy asks for the approval of others: do it by this change, which they approved');
  for (const { flag, help, variable } of settingsOptions) program.option(flag, `${help} [${variable}]`);
  for (const add of [
    keysCommands,
    keksCommands,
    tokensCommands,
    jobsCommands,
    discoverCommands,
    algorithmsCommand,
    cryptoCommands,
    reEncryptAllCommand,
    keyEstablishmentCommands,
    policyCommands,
    quotasCommands,
    accessCommands,
    changesCommands,
    approvalsCommands,
    auditCommands,
    complianceCommands,
    alertsCommands,
    backupCommands,
    restoreCommand,
    reviewsCommands,
    drillCommands,
    statusCommand,
    bootstrapCommands,
    ceremonyCommands,
  ])
    add(program);
  program.addHelpText(
    'after',
    '\nExit codes: 0 done; 1 it found something wrong; 2 refused; 3 not available, or outcome unknown; 4 not authenticated; 5 failed; 64 usage; 65 input; 78 configuration.',
  );
  return program;
}
