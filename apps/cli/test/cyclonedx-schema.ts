import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Ajv, type ErrorObject } from 'ajv';
import addFormats from 'ajv-formats';

/**
 * The official schema of CycloneDX 1.6, as its own library ships it. Strict: a keyword that the validator does not know fails the test, but for the
 * schema's own annotations; two formats of fields that no CBOM of ours has (mail addresses, links) are not checked.
 */
export function cyclonedxProblems(): (document: unknown) => ErrorObject[] {
  const folder = join(dirname(createRequire(import.meta.url).resolve('@cyclonedx/cyclonedx-library/package.json')), 'res/schema');
  const schema = (name: string) => JSON.parse(readFileSync(join(folder, `${name}.SNAPSHOT.schema.json`), 'utf8')) as object;
  const ajv = new Ajv({ strict: true, strictTypes: false, strictRequired: false, allErrors: true });
  addFormats.default(ajv, ['date-time', 'uri']);
  for (const format of ['iri-reference', 'idn-email']) ajv.addFormat(format, true);
  ajv.addVocabulary(['meta:enum']);
  ajv.addSchema(schema('spdx'), 'http://cyclonedx.org/schema/spdx.SNAPSHOT.schema.json');
  ajv.addSchema(schema('jsf-0.82'), 'http://cyclonedx.org/schema/jsf-0.82.SNAPSHOT.schema.json');
  const validate = ajv.compile(schema('bom-1.6'));
  return (document) => (validate(document) ? [] : (validate.errors ?? []));
}
