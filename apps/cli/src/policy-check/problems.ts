import type { Ineffective } from '@claviger/authz';
import type { Tested, Widened } from './check';

export interface CheckFindings {
  readonly tested: Tested;
  readonly ineffective: readonly Ineffective[];
  readonly widened: Widened | undefined;
  /** Files below `cloud/` that cannot be read. */
  readonly cloudFiles: readonly { readonly file: string; readonly why: string }[];
  readonly requireTests: boolean;
}

/** What blocks a publication, counted. */
export function problemsOf({ tested, ineffective, widened, cloudFiles, requireTests }: CheckFindings): string[] {
  const { outcomes, issues, unreached } = tested;
  const counted = (n: number, what: string) => (n > 0 ? [`${n} ${what}`] : []);
  return [
    ...counted(outcomes.filter(({ failure }) => failure !== undefined).length, 'test(s) fail'),
    ...counted(issues.length, 'issue(s) in test files'),
    ...counted(ineffective.filter(({ certain }) => certain).length, 'policies without effect'),
    ...counted(widened?.widenings.open.length ?? 0, 'widening(s) that nobody acknowledged'),
    ...(requireTests ? counted(unreached.length, 'policies that no test reaches') : []),
    ...counted(cloudFiles.length, 'file(s) of cloud KMSs that cannot be read'),
  ];
}
