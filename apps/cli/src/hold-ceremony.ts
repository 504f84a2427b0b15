import { randomInt } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import type { CeremonyTranscript, RecoveryGroup } from '@claviger/contracts';
import type { MadeRecoveryGroup } from '@claviger/hsm';
import {
  beginFolder,
  completeCeremony,
  createInstallation,
  layout,
  makeRecoveryGroup,
  readRecoveryGroup,
  reshareGroup,
  settleFolders,
  type TokenPlace,
} from '@claviger/installation';
import { assertTrusted } from './ceremony-files';
import { type People, type PeopleOptions, peopleOf } from './ceremony-people';
import { type Desk, openTerminal } from './desk';
import { CommandError } from './exit-codes';
import type { Output } from './output';
import { askForShares, readShares } from './share-collection';
import { type CustodianKey, readCustodianKey } from './share-encryption';
import { handOver } from './share-handover';
import { readTrust } from './site-files';

export interface CeremonyOptions extends PeopleOptions {
  folder: string;
  library: string;
  sharesTo?: string;
}

export interface HeldCeremony {
  created: boolean;
  group: RecoveryGroup;
  /** Of its transcript. */
  folder?: string | undefined;
  digest?: string;
}

/** Tokens and keys where there are none, then the recovery group: all of it, or nothing that anybody relies on. */
export async function holdCeremony(
  options: CeremonyOptions & { origin: string; newGroup?: boolean },
  output: Output,
): Promise<HeldCeremony> {
  const table = prepare(options);
  try {
    const startedAt = new Date();
    const isNew = !existsSync(layout(resolve(options.folder)).trustFile);
    const report = (line: string) => output.note(line);
    const { place } = createInstallation({ folder: resolve(options.folder), libraryPath: options.library, origin: options.origin, report });
    const folder = settleFolders(place);
    const group = readRecoveryGroup(place);
    if (group && !options.newGroup) return { created: false, group, folder };
    const where = { place, libraryPath: options.library };
    output.note('making the recovery group: some seconds');
    const { threshold, custodians } = table.people;
    const made = await makeRecoveryGroup(where, { threshold, members: custodians.map(({ name }) => name), now: startedAt });
    return await finish(where, table, made, { ceremony: isNew ? 'installation' : 'recovery-group', startedAt, sharesTo: options.sharesTo });
  } finally {
    table.desk?.close();
  }
}

/** Other shares, for the same or other custodians, of the group in force: M of the old ones open it. */
export async function reshare(options: CeremonyOptions & { share?: string[] }): Promise<HeldCeremony> {
  const place = layout(resolve(options.folder));
  if (!existsSync(place.trustFile)) throw new CommandError('badInput', `${options.folder} holds no installation`, 'claviger ceremony');
  settleFolders(place);
  const group = readRecoveryGroup(place);
  if (!group) throw new CommandError('badInput', `${options.folder} has no recovery group yet`, 'claviger ceremony');
  assertTrusted(group, readTrust(place.trustFile));
  const table = prepare(options, options.share === undefined);
  try {
    const startedAt = new Date();
    const shares = options.share ? await readShares(group, options.share) : await askForShares(group, table.desk!);
    try {
      const where = { place, libraryPath: options.library };
      const { threshold, custodians } = table.people;
      const request = { group, shares, threshold, members: custodians.map(({ name }) => name), now: startedAt };
      const made = await reshareGroup(where, request);
      const opened = { members: shares.map(({ index }) => group.members[index - 1]!.name), group };
      return await finish(where, table, made, { ceremony: 'reshare', startedAt, sharesTo: options.sharesTo, opened });
    } finally {
      for (const { value } of shares) value.fill(0);
    }
  } finally {
    table.desk?.close();
  }
}

interface Table {
  people: People;
  keys: ReadonlyMap<string, CustodianKey>;
  desk?: Desk;
}

/** Everything that can be wrong with what was typed is found before a key is made. */
function prepare(options: CeremonyOptions, needsDesk = false): Table {
  const people = peopleOf(options);
  const keys = new Map(
    people.custodians.flatMap(({ name, publicKeyFile }) => (publicKeyFile === undefined ? [] : [[name, readCustodianKey(publicKeyFile)]])),
  );
  const fingerprints = new Set([...keys.values()].map(({ fingerprint }) => fingerprint));
  if (fingerprints.size !== keys.size)
    throw new CommandError('usage', 'Two custodians have the same key: that is one person with two shares');
  const isShown = options.sharesTo === undefined && keys.size < people.custodians.length;
  if (options.sharesTo !== undefined) mkdirSync(options.sharesTo, { recursive: true, mode: 0o700 });
  if (!isShown && !needsDesk) return { people, keys };
  return {
    people,
    keys,
    desk: openTerminal('Give --shares-to FOLDER, or each custodian as NAME=PUBLIC_KEY_FILE, and old shares with --share.'),
  };
}

async function finish(
  where: TokenPlace,
  { people, keys, desk }: Table,
  { group: made, shares }: MadeRecoveryGroup,
  what: {
    ceremony: CeremonyTranscript['ceremony'];
    startedAt: Date;
    sharesTo?: string | undefined;
    opened?: { members: string[]; group: RecoveryGroup };
  },
): Promise<HeldCeremony> {
  const group = made as RecoveryGroup;
  try {
    const folder = beginFolder(where.place, what.startedAt);
    const handovers = await handOver({
      ...{ group, shares, custodians: people.custodians, keys, encryptedTo: folder, pick: (below) => randomInt(below) },
      ...(what.sharesTo === undefined ? {} : { sharesTo: what.sharesTo }),
      ...(desk ? { desk } : {}),
    });
    const { ceremony, startedAt, opened } = what;
    const done = await completeCeremony(where, {
      ...{ ceremony, folder, startedAt, now: () => new Date(), participants: people.participants, group, handovers },
      ...(opened ? { opened } : {}),
    });
    return { created: true, group, folder: done.folder, digest: done.digest };
  } finally {
    for (const { value } of shares) value.fill(0);
  }
}
