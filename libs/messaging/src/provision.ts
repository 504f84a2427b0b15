import { buckets, type CounterStreamName, clientAlerts, consumers, counterStreams, type StreamName, streams } from '@claviger/contracts';
import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  DiscardPolicy,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';

export interface ProvisionOptions {
  /** Connections of the provisioner users of the two accounts. */
  core: NatsConnection;
  clients: NatsConnection;
  /** 3 in a cluster, 1 on one machine. */
  replicas: number;
  report: (line: string) => void;
}

const nanos = (seconds: number) => seconds * 1_000_000_000;

/** Creates or updates every stream, bucket and pre-made consumer. Idempotent; never deletes, never purges, never lowers protection. */
export async function provision({ core, clients, replicas, report }: ProvisionOptions): Promise<void> {
  const jsm = await jetstreamManager(core);
  for (const name of Object.keys(streams) as StreamName[]) {
    const { subjects, summary, maxAgeSeconds, protected: isProtected, duplicateWindowSeconds } = streams[name];
    await ensureStream(jsm, report, {
      name,
      subjects: [...subjects],
      description: summary,
      retention: RetentionPolicy.Limits,
      storage: StorageType.File,
      num_replicas: replicas,
      max_age: nanos(maxAgeSeconds),
      duplicate_window: nanos(duplicateWindowSeconds),
      discard: DiscardPolicy.New,
      allow_direct: true,
      deny_delete: isProtected,
      deny_purge: isProtected,
    });
  }
  for (const { bucket, summary } of Object.values(buckets))
    await ensureStream(jsm, report, {
      name: `KV_${bucket}`,
      subjects: [`$KV.${bucket}.>`],
      description: summary,
      storage: StorageType.File,
      num_replicas: replicas,
      max_msgs_per_subject: 1,
      discard: DiscardPolicy.New,
      deny_delete: true,
      deny_purge: true,
      // A rollup header on a holder's own probe would empty the whole bucket.
      allow_rollup_hdrs: false,
      allow_direct: true,
      allow_msg_ttl: true,
    });
  for (const name of Object.keys(counterStreams) as CounterStreamName[]) {
    const { subjects, summary, maxAgeSeconds } = counterStreams[name];
    await ensureStream(jsm, report, {
      name,
      subjects: [...subjects],
      description: summary,
      storage: StorageType.File,
      num_replicas: replicas,
      max_age: nanos(maxAgeSeconds),
      max_msgs_per_subject: 1,
      // A counter stream takes neither a discard policy nor a lifetime of single messages.
      allow_msg_counter: true,
      allow_rollup_hdrs: false,
      allow_direct: true,
      deny_delete: true,
      deny_purge: true,
    });
  }
  for (const { stream, name, maxAckPending, ackWaitMs } of Object.values(consumers))
    await ensureConsumer(jsm, report, stream, {
      durable_name: name,
      ack_policy: AckPolicy.All,
      ack_wait: ackWaitMs * 1_000_000,
      max_ack_pending: maxAckPending,
      deliver_policy: DeliverPolicy.All,
    });

  const clientsJsm = await jetstreamManager(clients);
  await ensureStream(clientsJsm, report, {
    name: clientAlerts.stream,
    description: "The security team's own copy of ALERTS",
    storage: StorageType.File,
    num_replicas: replicas,
    max_age: nanos(streams.ALERTS.maxAgeSeconds),
    sources: [{ name: 'ALERTS', external: { api: 'core.api', deliver: 'deliver.alerts' } }],
  });
  await ensureConsumer(clientsJsm, report, clientAlerts.stream, {
    durable_name: clientAlerts.consumer,
    ack_policy: AckPolicy.Explicit,
    ack_wait: 60_000_000_000,
    deliver_policy: DeliverPolicy.All,
  });
}

async function ensureStream(
  jsm: JetStreamManager,
  report: (line: string) => void,
  config: Partial<StreamConfig> & { name: string },
): Promise<void> {
  const existing = await jsm.streams.info(config.name).catch((error: { code?: number }) => {
    if (error.code === 10059) return undefined; // stream not found
    throw error;
  });
  if (existing) await jsm.streams.update(config.name, config);
  else await jsm.streams.add(config as StreamConfig & { name: string });
  report(`${existing ? 'kept' : 'created'} stream ${config.name}`);
}

async function ensureConsumer(
  jsm: JetStreamManager,
  report: (line: string) => void,
  stream: string,
  config: Partial<ConsumerConfig> & { durable_name: string },
): Promise<void> {
  const existing = await jsm.consumers.info(stream, config.durable_name).catch((error: { code?: number }) => {
    if (error.code === 10014) return undefined; // consumer not found
    throw error;
  });
  if (existing) await jsm.consumers.update(stream, config.durable_name, config);
  else await jsm.consumers.add(stream, config);
  report(`${existing ? 'kept' : 'created'} consumer ${stream}/${config.durable_name}`);
}
