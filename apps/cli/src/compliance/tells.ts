/** Who did what to what, as far as the record says it. */
export function tells(record: Readonly<Record<string, unknown>>): string {
  const { kind, action, event, principal, by, keyId, outcome, code, reason, token, detail } = record;
  const parts = [action ?? event ?? kind, by ?? principal, keyId ?? token, outcome, code, reason ?? detail];
  return parts
    .filter((part) => typeof part === 'string' && part !== '')
    .join(', ')
    .slice(0, 500);
}
