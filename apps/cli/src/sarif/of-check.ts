import type { BundleIssue } from '@claviger/authz';
import type { CheckFindings } from '../policy-check/problems';
import type { Told } from './log';
import type { Place, Places } from './places';

/** What `claviger policy check` found: of a folder that does not validate that alone. */
export const invalidTold = (issues: readonly BundleIssue[], places: Places): Told[] =>
  issues.map(({ where, message, hint }) => ({
    ...{ rule: 'policy/invalid', text: `${where}: ${message}${hint ? ` (${hint})` : ''}` },
    ...places.issue(where),
  }));

export function checkTold(found: CheckFindings & { allowWidening: string | undefined }, places: Places): Told[] {
  const { tested, ineffective, widened, cloudFiles, requireTests, allowWidening } = found;
  return [
    ...tested.issues.map(({ place, message }): Told => ({ rule: 'policy/test-file-invalid', text: message, ...fileAndLine(place) })),
    ...tested.outcomes.flatMap(({ name, action, place, failure }): Told[] =>
      failure === undefined ? [] : [{ rule: 'policy/test-failed', text: `${name} (${action}): ${failure}`, ...fileAndLine(place) }],
    ),
    ...tested.unreached.map(
      (id): Told => ({
        ...{ rule: 'policy/untested', text: `no test reaches the policy ${id}` },
        ...(requireTests ? { level: 'error' as const } : {}),
        ...places.policy(id),
      }),
    ),
    ...ineffective.map(
      ({ policy, why, certain }): Told => ({
        ...{ rule: certain ? 'policy/without-effect' : 'policy/perhaps-without-effect', text: `${policy}: ${why}` },
        ...places.policy(policy),
      }),
    ),
    ...(widened?.widenings.open ?? []).map(
      (one): Told => ({
        ...{ rule: 'policy/widens', text: `${one.id}${one.example === undefined ? '' : `, such as: ${one.example}`}` },
        ...placeOfWidening(one, places),
      }),
    ),
    ...(widened?.widenings.stale ?? []).map(
      (id): Told => ({ rule: 'policy/acknowledgement-stale', text: id, ...(allowWidening === undefined ? {} : { file: allowWidening }) }),
    ),
    ...cloudFiles.map(({ file, why }): Told => ({ rule: 'cloud/file-invalid', text: why, file })),
  ];
}

/** At a policy that decides; of what people hold where they stand. */
function placeOfWidening({ id, policies }: { id: string; policies?: readonly string[] }, places: Places): Place {
  if (policies?.[0] !== undefined) return places.policy(policies[0]);
  const grant = / is granted .* by (\S+) \(/.exec(id)?.[1];
  if (grant !== undefined) return places.thing('grants', grant);
  const person = /^(\S+) gains /.exec(id)?.[1];
  return person === undefined ? places.thing('policies', undefined) : places.thing('principals', person);
}

/** `file:line`, as tests say it. */
function fileAndLine(place: string): Place {
  const [, file, line] = /^(.*):(\d+)$/.exec(place) ?? [];
  return file === undefined ? { file: place } : { file, line: Number(line) };
}
