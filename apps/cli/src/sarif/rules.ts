export type Level = 'error' | 'warning' | 'note';

/** Everything that a finding can be. An id stays what it is: code hosts remember by it what somebody dismissed. */
export const rules = {
  'policy/invalid': [
    'error',
    'The folder does not validate',
    'Mend what the message names: nothing of the folder can be published before.',
  ],
  'policy/test-failed': [
    'error',
    'A policy test fails',
    'Either the policies do not do what they should, or the test says what nobody wants any more.',
  ],
  'policy/test-file-invalid': ['error', 'A file of policy tests cannot be read', 'Mend the line that the message names.'],
  'policy/untested': ['note', 'No test reaches a policy', 'Write a test in which this policy decides.'],
  'policy/without-effect': ['error', 'A policy never decides', 'Remove it, or mend its scope and conditions.'],
  'policy/perhaps-without-effect': ['warning', 'A policy perhaps never decides', 'Write a test in which it decides, or remove it.'],
  'policy/widens': [
    'error',
    'More is allowed than before',
    'Take it back, or acknowledge it with its reason in the file of --allow-widening.',
  ],
  'policy/acknowledgement-stale': [
    'note',
    'An acknowledged widening is not found any more',
    'Remove it from the file of --allow-widening.',
  ],
  'cloud/file-invalid': [
    'error',
    'What is committed of a cloud KMS cannot be read',
    'Mend it, or write it anew: claviger policy drift FOLDER --aws-kms REGION --write.',
  ],
  'drift/only-runs': ['error', 'Something runs that is not committed', 'Commit it, or take it out of what runs.'],
  'drift/only-committed': ['error', 'Something is committed that does not run', 'Publish the folder, or take it out of it.'],
  'drift/differs': ['error', 'What runs is not what is committed', 'Publish the folder, or commit what runs.'],
  'cloud-drift/key': [
    'error',
    'A key of a cloud KMS is not one that is committed, or is gone',
    'Review it, then commit it (--write) or delete it there.',
  ],
  'cloud-drift/policy': [
    'error',
    'The policy of a key in a cloud KMS is not the committed one',
    'Put the committed policy back there, or review and commit what runs.',
  ],
  'cloud-drift/grants': [
    'error',
    'The grants of a key in a cloud KMS are not the committed ones',
    'Revoke the grant there, or review and commit it.',
  ],
  'cloud-drift/settings': [
    'error',
    'A setting of a key in a cloud KMS is not the committed one',
    'Put it back there, or review and commit what runs.',
  ],
  'drift/not-looked-at': [
    'warning',
    'Something could not be looked at, or nobody asked for it',
    'Give the permission that is missing, or ask for it. Nothing is known of it: it is not clean.',
  ],
  'discovery/copy': ['error', 'The private half of a managed key is outside the HSM', 'Take the key for compromised, and replace it.'],
  'discovery/exposed': ['error', 'A key in clear', 'Take it for known to whoever could read it, and replace it.'],
  'discovery/weak': ['warning', 'A key of less than 128 bits of strength', 'Replace it by one of 128 bits or more.'],
  'discovery/expired': ['error', 'A certificate or imported material has ended', 'Renew it, or remove it.'],
  'discovery/expiring': ['warning', 'A certificate or imported material ends soon', 'Renew it.'],
  'discovery/drift': ['warning', 'The settings of a key fall short', 'Do what the message says.'],
  'discovery/unmanaged': [
    'warning',
    'A key that Claviger does not manage',
    'Make a key in Claviger and move its users to it, import it, or accept it.',
  ],
  'discovery/not-looked-at': [
    'warning',
    'Something could not be looked at',
    'Give the permission that is missing. Nothing is known of it: it is not clean.',
  ],
} as const satisfies Readonly<Record<string, readonly [level: Level, what: string, next: string]>>;
export type RuleId = keyof typeof rules;
