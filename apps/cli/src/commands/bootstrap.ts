import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { PrincipalId, TokenLabel, Trust } from '@claviger/contracts';
import { readPin, Token, tokenKeyLabels, trustedSigner } from '@claviger/hsm';
import { addSuccessor, addToken, createInstallation, issueToken, layout } from '@claviger/installation';
import type { Command } from 'commander';
import { CommandError } from '../exit-codes';
import { assertTarget, type SecretTarget, writeBytes } from '../files';
import { wholeNumber } from '../pairs';
import { offline } from '../run';
import { brokerCommands } from './bootstrap-broker';

interface Place {
  folder: string;
  library: string;
}

/** Offline, on the machine that has the tokens: what an installation needs before its first start, and its first token. */
export function bootstrapCommands(program: Command): void {
  const bootstrap = program.command('bootstrap').description('offline commands for the operator of an installation');
  brokerCommands(bootstrap);
  const inPlace = (name: string, summary: string) =>
    bootstrap
      .command(name)
      .description(summary)
      .requiredOption('--folder <folder>', 'where the installation lies')
      .requiredOption('--library <file>', 'PKCS#11 library, such as libsofthsm2.so');
  inPlace('ceremony', 'make tokens, their keys, trust.json and the broker identities; what is complete is kept')
    .option('--origin <name>', 'name of the log in its checkpoints', 'claviger.local/ledger')
    .action(
      offline<Place & { origin: string }>(({ options: { folder, library, origin }, output }) => {
        const kept = existsSync(layout(folder).trustFile);
        const { place, trust } = createInstallation({ folder, libraryPath: library, origin, report: (line) => output.note(line) });
        if (kept) output.note('the ceremony was held before: everything is kept');
        output.fields(
          { created: !kept, trustFile: place.trustFile, identitiesFile: place.identitiesFile, ledger: trust.ledger },
          { trust: place.trustFile, identities: place.identitiesFile, ledger: trust.ledger.vkey },
        );
      }),
    );
  inPlace('add-token', 'one more token, for keys of algorithms that the customer token lacks (post-quantum); what is complete is kept')
    .requiredOption('--label <name>', 'of the token; it stands in the record of each key that is made in it')
    .option('--pin-file <file>', 'of a token that was initialised elsewhere; default: initialise a free slot, with new PINs')
    .action(
      offline<Place & { label: string; pinFile?: string }>(({ options: { folder, library, label, pinFile }, output }) => {
        if (!TokenLabel.safeParse(label).success) throw new CommandError('usage', '--label wants 1 to 32 of A-Z, a-z, 0-9, . _ -');
        const place = installationIn(folder);
        const { family, env } = addToken({
          ...{ place, label, libraryPath: resolve(library) },
          ...(pinFile === undefined ? {} : { pinFile: resolve(pinFile) }),
          report: (line) => output.note(line),
        });
        output.fields({ label, family, env }, { label, family, ...env });
        output.note('set these variables of every crypto-worker and restart them, one after the other');
      }),
    );
  inPlace('successor', 'a token that is to take the place of the customer token: another HSM; what is complete is kept')
    .requiredOption('--label <name>', 'of the token; another one than that of the token before')
    .option('--pin-file <file>', 'of a token that was initialised elsewhere; default: initialise a free slot, with new PINs')
    .option('--in-place-of <name>', 'the first token of the crypto-workers until now', 'customer')
    .option('--old-library <file>', 'PKCS#11 library of that one; default: the same library')
    .action(
      offline<Place & { label: string; pinFile?: string; inPlaceOf: string; oldLibrary?: string }>(({ options, output }) => {
        const { folder, library, label, pinFile, inPlaceOf, oldLibrary = library } = options;
        for (const [flag, value] of [
          ['--label', label],
          ['--in-place-of', inPlaceOf],
        ] as const)
          if (!TokenLabel.safeParse(value).success) throw new CommandError('usage', `${flag} wants 1 to 32 of A-Z, a-z, 0-9, . _ -`);
        const place = installationIn(folder);
        const { family, certifier, env, envAfter } = addSuccessor({
          ...{ place, label, libraryPath: resolve(library), inPlaceOf: { label: inPlaceOf, libraryPath: resolve(oldLibrary) } },
          ...(pinFile === undefined ? {} : { pinFile: resolve(pinFile) }),
          report: (line) => output.note(line),
        });
        output.fields(
          { label, family, certifier, trustFile: place.trustFile, env, envAfter },
          { label, family, certifier, trust: place.trustFile, ...env },
        );
        output.note(
          'restart every service with that trust.json, then every crypto-worker with these variables, one after the other; then: claviger keks migrate',
        );
        output.note(
          `once that is done, these of every crypto-worker: ${Object.entries(envAfter)
            .map(([name, value]) => `${name}=${value}`)
            .join(' ')}`,
        );
      }),
    );
  inPlace('token', 'a first token for an administrator, at most 15 minutes, signed in the control token')
    .requiredOption('--for <principal>')
    .option('--mfa', 'say that more than one factor was checked')
    .option('--lifetime-seconds <n>', 'at most 900', '900')
    .option('--out <file>', 'written for your eyes only; replaces the file')
    .option('--reveal', 'print it')
    .action(
      offline<Place & SecretTarget & { for: string; mfa?: boolean; lifetimeSeconds: string }>(async ({ options, output }) => {
        assertTarget(options);
        const { token, claims } = signToken(options);
        const shown = { principal: claims.sub, expiresAt: new Date(claims.exp * 1_000).toISOString() };
        if (options.out === undefined) return output.text({ ...shown, token }, token);
        await writeBytes(options.out, Buffer.from(`${token}\n`));
        output.fields(shown, { principal: shown.principal, 'expires at': shown.expiresAt, file: options.out });
      }),
    );
}

function installationIn(folder: string): ReturnType<typeof layout> {
  const place = layout(resolve(folder));
  if (!existsSync(place.trustFile)) throw new CommandError('badInput', `${folder} holds no installation`, 'claviger bootstrap ceremony');
  return place;
}

function signToken(options: Place & { for: string; mfa?: boolean; lifetimeSeconds: string }): ReturnType<typeof issueToken> {
  const place = installationIn(options.folder);
  const principal = PrincipalId.safeParse(options.for);
  if (!principal.success) throw new CommandError('usage', '--for wants a principal id: 1 to 64 of a-z, 0-9 and -');
  const trust = Trust.parse(JSON.parse(readFileSync(place.trustFile, 'utf8')));
  // The SoftHSM of an installation has a configuration per token; other libraries ignore this.
  process.env.SOFTHSM2_CONF = place.softhsmConf('control');
  const token = Token.open({
    libraryPath: options.library,
    tokenLabel: 'control',
    pin: readPin(place.pinFile('control')),
    canary: tokenKeyLabels.control.signing,
  });
  try {
    return issueToken(trustedSigner(token, tokenKeyLabels.control.signing, trust.control), {
      principal: principal.data,
      amr: options.mfa ? ['pwd', 'mfa'] : ['pwd'],
      lifetimeSeconds: wholeNumber('--lifetime-seconds', options.lifetimeSeconds) ?? 900,
    });
  } finally {
    token.close();
  }
}
