import type { TestOutcome } from './run-tests';

/** Outcomes as JUnit XML, which every CI shows: one suite per file. */
export function junitXml(outcomes: readonly TestOutcome[]): string {
  const suites = [...Map.groupBy(outcomes, ({ place }) => place.replace(/:\d+$/, ''))].map(([file, tests]) => {
    const failures = tests.filter(({ failure }) => failure !== undefined).length;
    const cases = tests.map(
      ({ name, action, place, failure }) =>
        `    <testcase name="${xml(`${name} (${action})`)}" classname="${xml(file)}"${failure === undefined ? '/>' : `><failure message="${xml(failure)}">${xml(place)}</failure></testcase>`}`,
    );
    return [`  <testsuite name="${xml(file)}" tests="${tests.length}" failures="${failures}">`, ...cases, '  </testsuite>'].join('\n');
  });
  return ['<?xml version="1.0" encoding="UTF-8"?>', '<testsuites name="claviger policy check">', ...suites, '</testsuites>', ''].join('\n');
}

const entities: Readonly<Record<string, string>> = { '<': '&lt;', '>': '&gt;', '&': '&amp;', '"': '&quot;' };
/** Control characters are in no XML 1.0 document. */
const xml = (text: string): string => text.replaceAll(/\p{Cc}/gu, '\uFFFD').replaceAll(/[<>&"]/g, (character) => entities[character]!);
