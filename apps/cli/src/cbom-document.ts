import type { KekDescription, KeyDescription, TokenDescription } from '@claviger/contracts';
import { algorithmComponent, algorithmRef, kekComponent, keyComponents, type UsedAlgorithm, wrapping } from './cbom';
import { Certifications } from './cbom-certification';

export interface CbomSource {
  /** Empty where the caller may not list them. */
  readonly keks: readonly KekDescription[];
  readonly tokens: readonly TokenDescription[];
  readonly keys: AsyncIterable<KeyDescription>;
}

/** Of this document. */
export interface CbomAbout {
  /** RFC 3339. */
  readonly timestamp: string;
  /** RFC 9562, lower case. */
  readonly uuid: string;
}

/**
 * A CycloneDX 1.6 document as UTF-8 text, part by part: what was written is forgotten, but for the handful of algorithms that keys refer to, which come
 * last. It is complete, and JSON, only when all of it was read.
 */
export async function* cbomDocument({ keks, tokens, keys }: CbomSource, { timestamp, uuid }: CbomAbout): AsyncGenerator<Buffer> {
  const head = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuid}`,
    version: 1,
    metadata: {
      timestamp,
      tools: { components: [{ type: 'application', name: 'claviger' }] },
      component: { type: 'platform', 'bom-ref': 'claviger', name: 'Claviger: the keys that this caller may describe' },
    },
  };
  yield Buffer.from(`${JSON.stringify(head).slice(0, -1)},"components":[\n`);
  const used = new Map<string, UsedAlgorithm>([[algorithmRef(wrapping), wrapping]]);
  const certifications = new Certifications(tokens);
  for (const kek of keks) yield line(kekComponent(kek));
  for await (const key of keys) {
    used.set(algorithmRef(key), { algorithm: key.algorithm, usage: key.usage });
    certifications.add(algorithmRef(key), key.versions);
    // What wraps it is used where it is.
    certifications.add(
      algorithmRef(wrapping),
      key.versions.filter(({ custody }) => custody === 'wrapped'),
    );
    for (const component of keyComponents(key)) yield line(component);
  }
  yield Buffer.from(
    `${[...used.values()].map((one) => JSON.stringify(algorithmComponent(one, certifications.of(algorithmRef(one))))).join(',\n')}\n]}\n`,
  );
}

const line = (component: object): Buffer => Buffer.from(`${JSON.stringify(component)},\n`);
