import type { ControlCheck } from '@claviger/contracts';

/** What a check asks, in words, with its numbers. */
export function asksOf(check: ControlCheck): string {
  switch (check.check) {
    case 'key-strength':
      return `each key has at least ${check.bitsMin} bits of strength, and an algorithm that may still protect`;
    case 'key-cnsa2':
      return `each key ${check.usages ? `of usage ${check.usages.join(' or ')} ` : ''}${check.tag ? `with the tag ${check.tag.name}${check.tag.value === undefined ? '' : `=${check.tag.value}`} ` : ''}is of an algorithm of CNSA 2.0`;
    case 'key-cryptoperiod':
      return `no version protects for longer than ${check.originatorDaysMax === undefined ? 'SP 800-57 suggests for its kind of key' : `${check.originatorDaysMax} days`}`;
    case 'key-rotation-scheduled':
      return `each version is rotated, or ends, by itself${check.withinDays === undefined ? '' : ` within ${check.withinDays} days`}`;
    case 'key-not-overdue':
      return `no key protects after the end of its period, and no rotation is overdue${check.graceDays > 0 ? ` for more than ${check.graceDays} days` : ''}`;
    case 'key-compromise-answered':
      return 'no compromised version is still the newest of its key';
    case 'key-suspension-decided':
      return `no key is suspended for more than ${check.withinDays} days without a decision`;
    case 'key-owned':
      return 'each key has an owner who is a principal and not disabled, and a team';
    case 'key-described':
      return `each key has a ${check.says.join(', a ')}`;
    case 'key-certified':
      return `each key was certified by its owner within ${check.everyDays} days`;
    case 'key-custody':
      return 'each version is wrapped under a key-encryption key, or lies in a token';
    case 'key-not-exportable':
      return 'no key can be exported';
    case 'key-generated-here':
      return 'the material of each key was generated in a token of Claviger';
    case 'key-consumers-few':
      return `at most ${check.most} principals are consumers of a key`;
    case 'key-floor':
      return 'each key has what the profiles in force ask for';
    case 'key-environments-apart':
      return 'nobody uses keys of production and of another environment';
    case 'token-validated':
      return `each token has an active validation of level ${check.levelMin} or higher`;
    case 'token-as-recorded':
      return 'each token is on record, and says of itself what the record says';
    case 'kek-rotated':
      return `each active key-encryption key is at most ${check.withinDays} days old`;
    case 'pack-guards':
      return 'the policies of the pack are in force as the pack has them';
    case 'second-factor':
      return 'nobody administers a production key without a second factor';
    case 'administrators-never-use':
      return 'nobody who may administer a production key may use it';
    case 'approvals':
      return `${check.actions.join(', ')} of ${check.classifications.join(' and ')} production keys: nobody alone, only with the approval of ${check.quorum} others or more`;
    case 'quorum-attainable':
      return 'for each policy that asks for approvals there are as many people who may give them';
    case 'roles-separated':
      return `nobody holds both roles of a pair: ${check.pairs.map((pair) => pair.join(' and ')).join('; ')}`;
    case 'role-holders':
      return `${check.least > 0 ? `at least ${check.least}` : 'any number'}${check.most === undefined ? '' : `, at most ${check.most}`} people hold the role ${check.role}`;
    case 'nobody-may':
      return `nobody may ${check.actions.join(', ')}`;
    case 'grants-end':
      return 'each grant ends at a time';
    case 'principals-identified':
      return 'each principal that is not disabled has an identity of its own';
    case 'backup-recent':
      return `a backup of the last ${check.withinDays} days is complete`;
    case 'backup-verified':
      return `a backup was verified, key by key, within ${check.withinDays} days, and the last verification of each found nothing`;
    case 'drill-passed':
      return `a restore was rehearsed within ${check.withinDays} days, and passed`;
    case 'ledger-verified':
      return 'the ledger verifies against its public keys';
    case 'state-untampered':
      return `no service was given state that its owner had not signed within ${check.withinDays} days`;
    case 'alerts-answered':
      return `no alert of severity ${check.severity} or higher is open for more than ${check.withinHours} hours`;
    case 'recorded':
      return `the ledger has a record of ${check.what}${check.outcome === undefined ? '' : ` (${check.outcome})`}${check.withinDays === undefined ? '' : ` within ${check.withinDays} days`}`;
  }
}
