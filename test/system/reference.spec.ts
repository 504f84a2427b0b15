import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { renderAlgorithms } from '../../tools/reference/algorithms';
import { renderControls } from '../../tools/reference/controls';
import { renderReference } from '../../tools/reference/render';
import { renderReportSchema } from '../../tools/reference/report-schema';
import { renderRoles } from '../../tools/reference/roles';

test('docs/reference.md says what the contracts say (npm run docs writes it)', () => {
  expect(readFileSync(`${import.meta.dirname}/../../docs/reference.md`, 'utf8')).toBe(renderReference());
});

test('docs/algorithms.md says what the tables of contracts and tokens say', () => {
  expect(readFileSync(`${import.meta.dirname}/../../docs/algorithms.md`, 'utf8')).toBe(renderAlgorithms());
});

test('docs/compliance-report.schema.json is the schema of the report', () => {
  expect(readFileSync(`${import.meta.dirname}/../../docs/compliance-report.schema.json`, 'utf8')).toBe(renderReportSchema());
});

test('docs/roles.md says what the starter policies are tested against', () => {
  expect(readFileSync(`${import.meta.dirname}/../../docs/roles.md`, 'utf8')).toBe(renderRoles());
});

test('docs/controls.md says what the regulation packs look at, and what they leave to people', () => {
  expect(readFileSync(`${import.meta.dirname}/../../docs/controls.md`, 'utf8')).toBe(renderControls());
});
