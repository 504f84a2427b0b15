#!/usr/bin/env node
import { ClavigerError } from '@claviger/client';
import { HsmError } from '@claviger/hsm';
import { CommanderError } from 'commander';
import { howToRequest } from './approval-flow';
import { ApprovalRequested, CommandError, exitCodeOf, exitCodes, Finding } from './exit-codes';
import { printableLines } from './output';
import { createProgram } from './program';
import { servedAsShard } from './simulation/shard-thread';

/** `code: detail`, then what to do. With --json the same as one JSON object, on stderr. Never a stack, never a value that was passed. */
function tell(error: unknown, json: boolean): void {
  const known = error instanceof ClavigerError || error instanceof HsmError;
  const code = known
    ? error.code
    : error instanceof CommandError
      ? `ERR_CLI_${error.kind.toUpperCase()}`
      : error instanceof Finding
        ? 'FINDING'
        : error instanceof ApprovalRequested
          ? 'ERR_APPROVAL_REQUIRED'
          : 'ERR_CLI';
  const detail = error instanceof ClavigerError ? error.detail : error instanceof Error ? error.message : String(error);
  const next =
    error instanceof ClavigerError && error.approval
      ? howToRequest(process.argv.slice(2))
      : error instanceof ClavigerError || error instanceof CommandError || error instanceof ApprovalRequested
        ? error.next
        : undefined;
  const change = error instanceof ApprovalRequested ? { change: error.change } : {};
  const requestId = error instanceof ClavigerError ? error.requestId : undefined;
  if (json)
    process.stderr.write(`${JSON.stringify({ error: { code, detail, next, requestId, ...change, exitCode: exitCodeOf(error) } })}\n`);
  else {
    // Both may tell of what stood in a file, which is other people's text.
    const lines = [`${code}: ${detail}`, ...(next ? [`→ ${next}`] : []), ...(requestId ? [`  request ${requestId}`] : [])];
    process.stderr.write(`${lines.map(printableLines).join('\n')}\n`);
  }
}

// A reader that went away (`claviger … | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(exitCodes.ok);
  throw error;
});
try {
  if (!servedAsShard()) await createProgram().parseAsync(process.argv);
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  else {
    tell(error, process.argv.includes('--json'));
    process.exitCode = exitCodeOf(error);
  }
}
