import { Ajv, type ErrorObject } from 'ajv';

const strict = (required: string[], properties: Record<string, object>) => ({
  type: 'object',
  additionalProperties: false,
  required,
  properties,
});
const text = strict(['text'], { text: { type: 'string', minLength: 1 } });
const list = (items: object, more: object = {}) => ({ type: 'array', items, ...more });
const level = { enum: ['none', 'note', 'warning', 'error'] };
/** A URI reference without what RFC 3986 does not let stand there. */
const uri = { type: 'string', pattern: "^[A-Za-z0-9._~:/?#\\[\\]@!$&'()*+,;=%-]+$" };

/**
 * What SARIF 2.1.0 (OASIS Standard, §3) asks of the objects that we write: required properties, values, and no property that it does not have, as its published
 * schema does. Hand-written from the standard: §3.13 log, §3.14 run, §3.18 tool, §3.19 toolComponent, §3.20 invocation, §3.17 runAutomationDetails, §3.27 result,
 * §3.28 location, §3.29 physicalLocation, §3.30 region, §3.4 artifactLocation, §3.33 logicalLocation, §3.49 reportingDescriptor.
 */
const schema = strict(['version', 'runs'], {
  $schema: { type: 'string', pattern: '^https://.*/sarif-schema-2\\.1\\.0\\.json$' },
  version: { const: '2.1.0' },
  runs: list(
    strict(['tool', 'results'], {
      tool: strict(['driver'], {
        driver: strict(['name'], {
          name: { type: 'string', minLength: 1 },
          rules: list(
            strict(['id'], {
              id: { type: 'string', minLength: 1 },
              ...{ shortDescription: text, fullDescription: text, help: text },
              defaultConfiguration: strict([], { level }),
            }),
            { uniqueItems: true },
          ),
        }),
      }),
      automationDetails: strict([], { id: { type: 'string', pattern: '/$' } }),
      invocations: list(strict(['executionSuccessful'], { executionSuccessful: { type: 'boolean' } })),
      columnKind: { enum: ['utf16CodeUnits', 'unicodeCodePoints'] },
      results: list(
        strict(['message'], {
          ruleId: { type: 'string' },
          ruleIndex: { type: 'integer', minimum: 0 },
          ...{ level, message: text },
          locations: list(
            strict([], {
              physicalLocation: strict(['artifactLocation'], {
                artifactLocation: strict(['uri'], { uri, uriBaseId: { const: '%SRCROOT%' } }),
                region: strict(['startLine'], { startLine: { type: 'integer', minimum: 1 } }),
              }),
              logicalLocations: list(strict([], { fullyQualifiedName: { type: 'string', minLength: 1 } }), { uniqueItems: true }),
            }),
          ),
          partialFingerprints: { type: 'object', additionalProperties: { type: 'string' } },
        }),
      ),
    }),
    { minItems: 1 },
  ),
});

interface Log {
  runs: {
    tool: { driver: { rules: { id: string }[] } };
    results: {
      ruleId: string;
      ruleIndex: number;
      locations?: { physicalLocation?: { artifactLocation: { uri: string; uriBaseId?: string } } }[];
    }[];
  }[];
}

/** What is wrong with a log, the references in it too (§3.27.6: ruleIndex; §3.4.4: a relative reference does not leave its base). */
export function sarifProblems(log: object): (ErrorObject | string)[] {
  const validate = new Ajv({ strict: true, allErrors: true }).compile(schema);
  if (!validate(log)) return validate.errors ?? [];
  return (log as unknown as Log).runs.flatMap(({ tool: { driver }, results }) =>
    results.flatMap(({ ruleId, ruleIndex, locations = [] }) => {
      const ids = locations.flatMap(({ physicalLocation }) => physicalLocation?.artifactLocation ?? []);
      return [
        ...(driver.rules[ruleIndex]?.id === ruleId ? [] : [`rule ${ruleIndex} is not ${ruleId}`]),
        ...ids.flatMap(({ uri: at, uriBaseId }) =>
          (uriBaseId ? /^\/|^\.\.|^\w+:/ : /^(?!file:\/\/\/)/).test(at) ? [`${at} is no place`] : [],
        ),
      ];
    }),
  );
}
