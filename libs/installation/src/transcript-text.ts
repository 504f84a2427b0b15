import type { CeremonyTranscript } from '@claviger/contracts';

const titles: Record<CeremonyTranscript['ceremony'], string> = {
  installation: 'tokens, their keys and the recovery group were made',
  'recovery-group': 'a recovery group was made; tokens and keys were there before',
  reshare: 'the shares of the recovery group were made anew; its key is the same',
};
const handovers = {
  screen: 'read from the screen, and typed back',
  file: 'in a file for the custodian',
  encrypted: 'encrypted to the public key of the custodian',
} as const;

/** For people to read, print and sign. Everything in it is also in the canonical transcript, whose digest is on it. */
export function transcriptText(transcript: CeremonyTranscript, digest: string): string {
  const { ceremony, startedAt, completedAt, participants, tokens, libraryDigest, trust, recoveryGroup: group, opened } = transcript;
  const handoverOf = (index: number) => transcript.handovers.find((handover) => handover.index === index);
  return [
    'CLAVIGER KEY CEREMONY',
    '',
    titles[ceremony],
    `from ${startedAt} to ${completedAt}`,
    '',
    'PARTICIPANTS',
    ...participants.map(({ name, role }) => `  ${role.padEnd(10)}${name}`),
    '',
    'TOKENS',
    `  PKCS#11 library, SHA-256  ${libraryDigest}`,
    ...tokens.flatMap(({ keys, ...token }) => [
      `  ${token.label}: serial number ${token.serialNumber}, ${token.manufacturer} ${token.model}, firmware ${token.firmware}, ${token.library}`,
      ...keys.flatMap((key) => [
        `    ${key.label} (${key.class}, ${key.algorithm})`,
        ...(key.fingerprint ? [`      public key, SHA-256  ${key.fingerprint}`] : []),
        `      has      ${named(key.attributes, true)}`,
        `      has not  ${named(key.attributes, false)}`,
      ]),
    ]),
    '',
    'LEDGER',
    `  ${trust.ledger.vkey}`,
    '',
    'RECOVERY GROUP',
    `  ${group.groupId}: ${group.threshold} of ${group.members.length} shares are needed`,
    `  public key  ${group.publicKeySpki}`,
    ...(opened ? [`  opened with the shares of ${opened.members.join(', ')}`] : []),
    ...group.members.flatMap(({ name, index, shareDigest }) => {
      const handover = handoverOf(index);
      return [
        `  share ${index}  ${name}: ${handover ? handovers[handover.by] : 'not handed over'}`,
        ...(handover?.keyFingerprint ? [`    key of the custodian, SHA-256  ${handover.keyFingerprint}`] : []),
        `    digest of the share            ${shareDigest}`,
      ];
    }),
    '',
    'DIGEST OF THIS TRANSCRIPT (SHA-256 of transcript.json, base64url)',
    `  ${digest}`,
    '',
    ...participants.flatMap(({ name, role }) => ['', `  ______________________________  ${name}, ${role}`]),
    '',
  ].join('\n');
}

const named = (attributes: Record<string, boolean>, value: boolean): string =>
  Object.entries(attributes)
    .filter(([, has]) => has === value)
    .map(([name]) => name)
    .join(' ') || 'none';
