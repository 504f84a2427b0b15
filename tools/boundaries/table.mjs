// Who may import what. The one place: tools/boundaries.mjs asks it, DESIGN.md and docs/adr/ say why.

/** Workspace libraries and npm packages (a trailing * is a prefix) that the sources of each library may import. Node's own modules need no entry. */
export const LIBRARIES = {
  contracts: { libs: [], packages: ['zod'] },
  messaging: {
    libs: ['contracts', 'ledger'],
    packages: ['@nats-io/*', '@nestjs/*', '@opentelemetry/api', 'reflect-metadata', 'rxjs', 'zod'],
  },
  hsm: { libs: [], packages: ['pkcs11js', 'koffi', 'lru-cache'] },
  authz: { libs: ['contracts'], packages: ['@cedar-policy/*', 'canonicalize', 'lru-cache', 'zod'] },
  ledger: { libs: [], packages: [] },
  backup: { libs: ['contracts', 'messaging'], packages: ['zod'] },
  client: { libs: ['contracts'], packages: ['@nats-io/*', '@opentelemetry/api', 'zod'] },
  operability: { libs: [], packages: ['@nestjs/common', '@opentelemetry/*', 'zod'] },
  installation: { libs: ['contracts', 'hsm', 'ledger', 'messaging'], packages: ['canonicalize', 'zod'] },
  service: {
    libs: ['contracts', 'messaging', 'hsm', 'authz', 'operability'],
    packages: ['@nats-io/*', '@nestjs/common', '@opentelemetry/api'],
  },
  testing: { libs: ['*'], packages: ['*'] },
};

/** Of its own libraries an app may use these in src/; any in test/. No app imports an app, anywhere. */
const SERVICE = ['contracts', 'messaging', 'hsm', 'authz', 'ledger', 'operability', 'installation', 'backup', 'service'];
export const APPS = {
  'key-lifecycle': SERVICE,
  'crypto-worker': SERVICE,
  policy: SERVICE,
  audit: SERVICE,
  'anomaly-detector': SERVICE,
  cli: ['contracts', 'client', 'hsm', 'authz', 'ledger', 'messaging', 'operability', 'installation', 'backup'],
};

/** Files that only decide: the same inputs give the same answer, with no clock, network, database or token behind it. Also what they import must be so. */
export const PURE = [
  'libs/contracts/src/**',
  'libs/ledger/src/**',
  'libs/authz/src/**',
  'apps/*/src/detectors/**',
  ...[
    'admission',
    'admit',
    'alias',
    'backup-records',
    'baseline',
    'breaker',
    'cbom',
    'cbom-algorithms',
    'cbom-document',
    'compliance',
    'decide',
    'decision',
    'destruction',
    'detection',
    'due-bounds',
    'explain',
    'finding',
    'fold',
    'head',
    'import-parameters',
    'inventory-findings',
    'iv',
    'jwe',
    'kek',
    'key',
    'key-certification',
    'key-dates',
    'key-description',
    'key-events',
    'key-export',
    'key-facets',
    'key-floor',
    'key-impact',
    'key-material',
    'key-protection',
    'last-backup',
    'key-residency',
    'key-state',
    'key-tree',
    'key-use',
    'observed-use',
    'operations',
    'position',
    'provable',
    'raised-alerts',
    'refusal',
    'key-rewrap',
    'rewrap-job',
    'rewrapped',
    'root',
    'restored-key',
    'rotation-schedule',
    'segment',
    'snapshot',
    'token-ending',
    'token-migration',
    'wall-clock',
    'warnings',
  ].map((name) => `apps/*/src/${name}.ts`),
];
export const NOT_IN_PURE = ['@nestjs/*', 'mongodb', '@nats-io/*', 'pkcs11js', 'rxjs', '@opentelemetry/*'];
/** Importing one of these for more than its types brings in what NOT_IN_PURE names. */
export const IMPURE_LIBRARIES = ['messaging', 'hsm', 'client', 'operability', 'installation', 'service', 'testing'];
