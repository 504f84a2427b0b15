import { assuredTokens, type BundleIssue, issueText, unownedServices, validateBundle } from '@claviger/authz';
import { PolicyBundle } from '@claviger/contracts';
import { Finding } from '../exit-codes';
import type { Output } from '../output';
import { readPolicyFolder } from '../policy-folder';

/** Profiles whose keys could be made nowhere today. It may be meant: a validation that is on its way. */
const unmetLevels = ({ profiles = [], tokens = [] }: PolicyBundle): string[] =>
  profiles.flatMap(({ id, moduleLevel }) =>
    moduleLevel === undefined || assuredTokens(tokens, { moduleLevel: { value: moduleLevel, profile: id } }, Date.now())?.length
      ? []
      : [`profile ${id}: no token on record has an active validation of level ${moduleLevel}, so its keys cannot be made (ERR_ASSURANCE)`],
  );

/** Those that are new are refused when the folder is published; those of before are not. */
const withoutOwner = (bundle: PolicyBundle): string[] =>
  unownedServices(bundle).map(({ principal: { id, owner } }) =>
    owner === undefined ? `service ${id}: names no owner` : `service ${id}: its owner ${owner} is no enabled person and no group`,
  );

/** The bundle in a folder. @throws Finding after what is wrong with it was printed, and told to `onIssues` */
export function checkedFolder(output: Output, folder: string, onIssues?: (issues: readonly BundleIssue[]) => void): PolicyBundle {
  const bundle = readPolicyFolder(folder, new Date());
  const issues = validateBundle(bundle);
  if (issues.length === 0) {
    const good = PolicyBundle.parse(bundle);
    for (const note of [...unmetLevels(good), ...withoutOwner(good)]) output.note(note);
    return good;
  }
  onIssues?.(issues);
  output.table({ valid: false, issues }, issues, [{ title: `${folder} DOES NOT VALIDATE`, value: issueText }]);
  throw new Finding(`${issues.length} issue(s)`);
}
