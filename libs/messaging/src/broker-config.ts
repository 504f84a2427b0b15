import {
  appliedSubject,
  buckets,
  clientAlerts,
  consumers,
  counterStreams,
  exportedRequests,
  internalSubject,
  limits,
  outcomeId,
  type StreamName,
  serviceInboxPrefix,
  serviceSubject,
} from '@claviger/contracts';

/** Public nkeys (`U…`) of everyone who connects to CORE, and of the callout's issuer account (`A…`) and encryption key (`X…`). */
export interface BrokerIdentities {
  services: Record<ServiceName, string>;
  provisionerCore: string;
  provisionerClients: string;
  system: string;
  calloutIssuer: string;
  calloutXkey: string;
}

export interface BrokerConfigOptions {
  identities: BrokerIdentities;
  host: string;
  port: number;
  /** Left out where whoever starts the server says it. */
  storeDir?: string;
  monitorPort?: number;
  logFile?: string;
  /** Server certificate; with `clientCaFile` every connection must show a certificate (mutual TLS). */
  tls?: { certFile: string; keyFile: string; clientCaFile?: string };
}

const view = (bucket: keyof typeof buckets, service: string) => [
  ...['STREAM.INFO', 'STREAM.MSG.GET'].map((api) => `$JS.API.${api}.KV_${bucket}`),
  ...['CONSUMER.CREATE', 'CONSUMER.INFO', 'CONSUMER.DELETE', 'DIRECT.GET'].map((api) => `$JS.API.${api}.KV_${bucket}.>`),
  `$JS.FC.KV_${bucket}.>`,
  `$KV.${bucket}.probe.${service}.*`,
];
const consume = ({ stream, name }: { stream: string; name: string }) => [
  `$JS.API.STREAM.INFO.${stream}`,
  // What an earlier process had in hand when it ended is read again by sequence.
  `$JS.API.STREAM.MSG.GET.${stream}`,
  `$JS.API.CONSUMER.INFO.${stream}.${name}`,
  `$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`,
  `$JS.ACK.${stream}.${name}.>`,
  `dead.v1.${stream}.${name}`,
];
const streamInfo = (...names: StreamName[]) => names.map((name) => `$JS.API.STREAM.INFO.${name}`);
/** Replies to callers come back through the account import as `_R_.…`, those to services go to their inboxes. */
const replies = ['_R_.>', '_INBOX.core.>'];
/** The server cuts one of its connections: the one thing of SYS that CORE may ask for. */
const kick = '$SYS.REQ.SERVER.*.KICK';
/** Every service counts what it lets through. Nothing but an increment can be put there (the streams are counters), and nobody else can. */
const counting = [
  'quota.v1.>',
  ...Object.keys(counterStreams).flatMap((name) => [`$JS.API.DIRECT.GET.${name}`, `$JS.API.DIRECT.GET.${name}.>`]),
];
const liveness = internalSubject('liveness.*', 'ping');

/**
 * Least privilege, one row a service: nobody may publish `claviger.v1.>` (so nobody can speak as a caller), delete or purge a stream,
 * or write a bucket or stream that it does not own.
 */
const services = {
  'crypto-worker': {
    publish: [
      ...replies,
      ...view('keys', 'crypto-worker'),
      ...view('sessions', 'crypto-worker'),
      ...view('policy', 'crypto-worker'),
      'audit.v1.crypto-worker.*',
      appliedSubject('*'),
      internalSubject('keys', 'lease-invocations'),
      ...streamInfo('AUDIT'),
    ],
    subscribe: [serviceSubject('crypto'), internalSubject('hsm', '*')],
  },
  'key-lifecycle': {
    publish: [
      ...replies,
      ...view('keys', 'key-lifecycle'),
      '$KV.keys.>',
      ...view('sessions', 'key-lifecycle'),
      ...view('policy', 'key-lifecycle'),
      ...view('changes', 'key-lifecycle'),
      // What it executes, and how that ended.
      `$KV.changes.${outcomeId('*')}`,
      'audit.v1.key-lifecycle.*',
      'keys.v1.>',
      internalSubject('hsm', '*'),
      ...streamInfo('AUDIT', 'KEYS', 'LEDGER'),
      // The newest checkpoint, for a backup.
      '$JS.API.STREAM.MSG.GET.LEDGER',
      '$JS.API.DIRECT.GET.LEDGER.>',
      internalSubject('audit', 'last-uses'),
    ],
    subscribe: [serviceSubject('keys'), serviceSubject('backup'), internalSubject('keys', '*'), appliedSubject('*')],
  },
  policy: {
    publish: [
      ...replies,
      ...view('sessions', 'policy'),
      '$KV.sessions.>',
      ...view('policy', 'policy'),
      '$KV.policy.>',
      ...view('changes', 'policy'),
      '$KV.changes.>',
      'audit.v1.policy.*',
      'policy.v1.>',
      internalSubject('audit', 'personal'),
      internalSubject('audit', 'last-activities'),
      // Where the server waits for the answer to its auth callout.
      '$SYS._INBOX.*.*',
      kick,
      ...streamInfo('AUDIT', 'POLICY'),
    ],
    subscribe: ['$SYS.REQ.USER.AUTH', serviceSubject('policy'), serviceSubject('access'), serviceSubject('changes')],
  },
  audit: {
    publish: [
      ...replies,
      ...view('sessions', 'audit'),
      ...view('policy', 'audit'),
      'audit.v1.audit.*',
      'ledger.v1.>',
      ...consume(consumers.auditLedger),
      ...streamInfo('AUDIT', 'LEDGER'),
      '$JS.API.STREAM.MSG.GET.LEDGER',
      '$JS.API.DIRECT.GET.LEDGER.>',
    ],
    subscribe: [serviceSubject('audit'), internalSubject('audit', '*')],
  },
  'anomaly-detector': {
    publish: [
      ...replies,
      ...view('sessions', 'anomaly-detector'),
      ...view('policy', 'anomaly-detector'),
      'audit.v1.anomaly-detector.*',
      'alerts.v1.>',
      ...consume(consumers.auditDetector),
      ...consume(consumers.ledgerDetector),
      ...streamInfo('AUDIT', 'ALERTS'),
    ],
    subscribe: [serviceSubject('alerts')],
  },
} as const satisfies Record<string, { publish: readonly string[]; subscribe: readonly string[] }>;
export type ServiceName = keyof typeof services;
export const serviceNames = Object.keys(services) as ServiceName[];

/** Whoever provisions creates and updates; nobody deletes or purges a stream or a message of one. */
const provisioning = `{ allow: ["$JS.API.>"], deny: ["$JS.API.STREAM.DELETE.>", "$JS.API.STREAM.PURGE.>", "$JS.API.STREAM.MSG.DELETE.>"] }`;

const list = (subjects: readonly string[]) => `[${subjects.map((s) => JSON.stringify(s)).join(', ')}]`;

const serviceUser = (name: ServiceName, nkey: string) => {
  const { publish, subscribe } = services[name];
  return `{ nkey: ${nkey}, permissions: { publish: ${list([...publish, ...counting, liveness, '$JS.API.INFO'])}, subscribe: ${list([...subscribe, liveness, `${serviceInboxPrefix(name)}.>`])} } }`;
};

/** The nats-server configuration of DESIGN.md's three accounts; holds public keys only. */
export function renderBrokerConfig(options: BrokerConfigOptions): string {
  const { identities: id, tls } = options;
  const core = [
    ...serviceNames.map((name) => serviceUser(name, id.services[name])),
    `{ nkey: ${id.provisionerCore}, permissions: { publish: ${provisioning}, subscribe: ["_INBOX.>"] } }`,
  ];
  const authUsers = [...serviceNames.map((name) => id.services[name]), id.provisionerCore, id.provisionerClients, id.system];
  return `# Claviger broker: rendered from libs/messaging/src/broker-config.ts
listen: ${JSON.stringify(`${options.host}:${options.port}`)}
server_name: claviger
max_payload: ${limits.messageBytes * 2}
# Room for an OIDC token in CONNECT; the default of 4 KiB is too little for some issuers.
max_control_line: 20480
max_pending: 67108864
write_deadline: "10s"
${options.monitorPort === undefined ? '' : `http: ${JSON.stringify(`${options.host}:${options.monitorPort}`)}`}
${options.logFile ? `log_file: ${JSON.stringify(options.logFile)}\nlogfile_size_limit: 100MB` : ''}
jetstream { ${options.storeDir ? `store_dir: ${JSON.stringify(options.storeDir)}, ` : ''}sync_interval: always }
${tls ? `tls { cert_file: ${JSON.stringify(tls.certFile)}, key_file: ${JSON.stringify(tls.keyFile)}${tls.clientCaFile ? `, ca_file: ${JSON.stringify(tls.clientCaFile)}, verify: true` : ''} }` : ''}
accounts {
  CORE {
    jetstream: enabled
    users: [
      ${core.join('\n      ')}
    ]
    exports: [
      { service: ${JSON.stringify(exportedRequests)}, accounts: [CLIENTS] }
      { stream: ${JSON.stringify(clientAlerts.liveSubject)}, accounts: [CLIENTS] }
      { service: "$JS.API.CONSUMER.CREATE.ALERTS", response_type: stream, accounts: [CLIENTS] }
      { service: "$JS.API.CONSUMER.CREATE.ALERTS.>", response_type: stream, accounts: [CLIENTS] }
      { stream: "deliver.alerts.>", accounts: [CLIENTS] }
      { service: "$JS.FC.ALERTS.>", accounts: [CLIENTS] }
    ]
    imports: [ { service: { account: SYS, subject: ${JSON.stringify(kick)} } } ]
  }
  CLIENTS {
    jetstream: enabled
    users: [ { nkey: ${id.provisionerClients}, permissions: { publish: ${provisioning}, subscribe: ["_INBOX.>"] } } ]
    imports: [
      { service: { account: CORE, subject: ${JSON.stringify(exportedRequests)} } }
      { stream: { account: CORE, subject: ${JSON.stringify(clientAlerts.liveSubject)} } }
      { service: { account: CORE, subject: "$JS.API.CONSUMER.CREATE.ALERTS" }, to: "core.api.CONSUMER.CREATE.ALERTS" }
      { service: { account: CORE, subject: "$JS.API.CONSUMER.CREATE.ALERTS.>" }, to: "core.api.CONSUMER.CREATE.ALERTS.>" }
      { stream: { account: CORE, subject: "deliver.alerts.>" } }
      { service: { account: CORE, subject: "$JS.FC.ALERTS.>" } }
    ]
  }
  SYS {
    users: [ { nkey: ${id.system} } ]
    exports: [ { service: ${JSON.stringify(kick)}, accounts: [CORE] } ]
  }
}
system_account: SYS
authorization {
  timeout: 5
  auth_callout { issuer: ${id.calloutIssuer}, account: CORE, xkey: ${id.calloutXkey}, auth_users: ${list(authUsers)} }
}
`;
}
