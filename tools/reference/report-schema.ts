import { ComplianceReport } from '@claviger/contracts';
import { z } from 'zod';

/** Text of docs/compliance-report.schema.json (JSON Schema 2020-12): what `claviger compliance report --format json` gives. */
export const renderReportSchema = (): string =>
  `${JSON.stringify({ title: 'Claviger compliance report', ...z.toJSONSchema(ComplianceReport) }, null, 2)}\n`;
