import type { RegulationPack } from '@claviger/contracts';
import { asksOf } from '../../apps/cli/src/compliance/asks';
import { readPacks } from '../../apps/cli/src/pack-files';
import { code, table } from './table';

/** Text of docs/controls.md: the packs of deploy/policies/packs, control by control, and nothing else. */
export const renderControls = (): string =>
  [
    '# Controls of the regulation packs',
    'What each pack looks at, what shows it, and what stays with the organisation. Made from `deploy/policies/packs` by `npm run docs`; do not edit. [Compliance](compliance.md) says how a report is made of it.',
    'A control without checks, or with something that stays with the organisation, is never met by checks alone: the report says that a person supplies the rest until a statement is given. Policies are looked at by `pack-guards` (in force as the pack has them) and by what they decide.',
    ...readPacks().map(({ pack }) => section(pack)),
  ]
    .join('\n\n')
    .concat('\n');

const section = ({ id, title, version, sources, leftOut, controls }: RegulationPack): string =>
  [
    `## ${code(id)} ${version}: ${title}`,
    table(
      ['source', 'edition', 'checked', 'against'],
      sources.map(({ title: name, edition, url, checked }) => [`[${name}](${url})`, edition, checked?.at ?? '', checked?.against ?? '']),
    ),
    `Not in it: ${leftOut}`,
    table(
      ['control', 'asks', 'checked', 'evidence in the ledger', 'stays with the organisation'],
      controls.map(({ id: control, title: name, requirement, checks, evidence, manual }) => [
        code(control.slice(control.indexOf(':') + 1)),
        `**${name}.** ${requirement}`,
        checks.map((check) => `${code(check.check)}: ${asksOf(check)}`).join('; ') || 'nothing',
        evidence.map(({ what }) => what).join(', ') || 'none',
        manual ?? '',
      ]),
    ),
  ].join('\n\n');
