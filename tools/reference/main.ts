// npm run docs: writes docs/reference.md and docs/compliance-report.schema.json from the contracts, docs/algorithms.md from their table and that of the HSM library, docs/controls.md from the regulation packs, and docs/roles.md from the table that the starter policies are tested against.
import { writeFileSync } from 'node:fs';
import { renderAlgorithms } from './algorithms';
import { renderControls } from './controls';
import { renderReference } from './render';
import { renderReportSchema } from './report-schema';
import { renderRoles } from './roles';

writeFileSync('docs/reference.md', renderReference());
writeFileSync('docs/algorithms.md', renderAlgorithms());
writeFileSync('docs/roles.md', renderRoles());
writeFileSync('docs/controls.md', renderControls());
writeFileSync('docs/compliance-report.schema.json', renderReportSchema());
