import { createAccount, createCurve, createUser, type KeyPair } from '@nats-io/nkeys';
import { type BrokerIdentities, type ServiceName, serviceNames } from './broker-config';

/** Seeds are secrets: they go into files that only their user can read. */
export interface BrokerSeeds {
  services: Record<ServiceName, string>;
  provisionerCore: string;
  provisionerClients: string;
  system: string;
  calloutIssuer: string;
  calloutXkey: string;
}

/** Fresh nkeys for every user of the broker: the public halves for its configuration, the seeds for their holders. */
export function createBrokerIdentities(): { identities: BrokerIdentities; seeds: BrokerSeeds } {
  const services = Object.fromEntries(serviceNames.map((name) => [name, createUser()])) as Record<ServiceName, KeyPair>;
  const others = {
    provisionerCore: createUser(),
    provisionerClients: createUser(),
    system: createUser(),
    calloutIssuer: createAccount(),
    calloutXkey: createCurve(),
  };
  const each = <K extends string>(pairs: Record<K, KeyPair>, read: (pair: KeyPair) => string) =>
    Object.fromEntries(Object.entries<KeyPair>(pairs).map(([name, pair]) => [name, read(pair)])) as Record<K, string>;
  const publicKey = (pair: KeyPair) => pair.getPublicKey();
  const seed = (pair: KeyPair) => new TextDecoder().decode(pair.getSeed());
  return {
    identities: { services: each(services, publicKey), ...each(others, publicKey) },
    seeds: { services: each(services, seed), ...each(others, seed) },
  };
}
