// npm run docs: writes docs/reference.md and docs/compliance-report.schema.json from the contracts, and docs/algorithms.md from their table and that of the HSM library.
import { writeFileSync } from 'node:fs';
import { renderAlgorithms } from './algorithms';
import { renderReference } from './render';
import { renderReportSchema } from './report-schema';

writeFileSync('docs/reference.md', renderReference());
writeFileSync('docs/algorithms.md', renderAlgorithms());
writeFileSync('docs/compliance-report.schema.json', renderReportSchema());
