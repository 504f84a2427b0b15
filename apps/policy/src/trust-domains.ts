import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { ConfigurationError } from '@claviger/operability';
import type { LoggerService } from '@nestjs/common';
import { z } from 'zod';
import { trustDomainPattern } from './spiffe-id';

/** `SPIFFE_TRUST_DOMAINS_FILE`: whose certificates speak for which trust domain. */
export const TrustDomainConfiguration = z
  .array(
    z.strictObject({
      trustDomain: z.string().regex(trustDomainPattern, 'must be the name of a trust domain'),
      /** PEM file of its authorities: its trust bundle (SPIFFE Trust Domain and Bundle §4). */
      caFile: z.string(),
    }),
  )
  .min(1)
  .max(64)
  .refine((all) => new Set(all.map(({ trustDomain }) => trustDomain)).size === all.length, 'a trust domain is named twice');

const pemBlock = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;
const certificatesMax = 100;

interface Bundle {
  readonly file: string;
  readAt: string;
  anchors: ReadonlySet<string>;
}

/** The authorities of each trust domain, by the SHA-256 of the certificate. A file that changes is read anew, since authorities are rotated. */
export class TrustDomains {
  private readonly bundles: ReadonlyMap<string, Bundle>;

  /** @throws ConfigurationError when a file cannot be read at start */
  constructor(
    configured: z.output<typeof TrustDomainConfiguration>,
    private readonly logger: Pick<LoggerService, 'warn'>,
  ) {
    this.bundles = new Map(
      configured.map(({ trustDomain, caFile }) => {
        try {
          return [trustDomain, { file: caFile, readAt: stampOf(caFile), anchors: anchorsIn(caFile) }];
        } catch (error) {
          throw new ConfigurationError([`SPIFFE_TRUST_DOMAINS_FILE: the authorities of ${trustDomain}: ${String(error)}`]);
        }
      }),
    );
  }

  /** Undefined for a trust domain that nobody speaks for here. */
  anchors(trustDomain: string): ReadonlySet<string> | undefined {
    const bundle = this.bundles.get(trustDomain);
    if (bundle) this.renew(trustDomain, bundle);
    return bundle?.anchors;
  }

  /** What cannot be read now leaves what was read before. */
  private renew(trustDomain: string, bundle: Bundle): void {
    try {
      const stamp = stampOf(bundle.file);
      if (stamp === bundle.readAt) return;
      bundle.anchors = anchorsIn(bundle.file);
      bundle.readAt = stamp;
    } catch (error) {
      this.logger.warn(`spiffe: the authorities of ${trustDomain} cannot be read anew: ${String(error)}`);
    }
  }
}

const stampOf = (file: string): string => {
  const { mtimeMs, size, ino } = statSync(file);
  return `${mtimeMs} ${size} ${ino}`;
};

function anchorsIn(file: string): ReadonlySet<string> {
  const blocks = readFileSync(file, 'utf8').match(pemBlock) ?? [];
  if (blocks.length === 0 || blocks.length > certificatesMax) throw new Error(`${file} holds ${blocks.length} certificates`);
  return new Set(blocks.map((pem) => new X509Certificate(pem).fingerprint256));
}
