/** One thing that is wrong with a bundle, for the person who wrote it. */
export interface BundleIssue {
  /** `policies`, `schema`, `policy <id>`, or a path such as `principals.3.roles.0`. */
  readonly where: string;
  readonly message: string;
  readonly hint?: string;
}

/** As one line of text. */
export function issueText(issue: BundleIssue): string {
  return `${issue.where}: ${issue.message}${issue.hint ? ` (${issue.hint})` : ''}`;
}
