export { type AssertionFaults, ownKey, SoftwareAuthenticator } from './approver-keys';
export { type Broker, type BrokerOptions, type BrokerUser, install, startBroker } from './broker';
export {
  type Child,
  type ChildOptions,
  type CommandResult,
  type Exit,
  runCommand,
  startChild,
  stopChildren,
} from './children';
export { type FakeClock, fakeClock } from './clock';
export { type NatsContainerOptions, type ServerContainer, startNatsContainer, startStoreContainer } from './containers';
export { dockerAvailable } from './docker';
export { type DocumentStore, type DocumentStoreOptions, startDocumentStore, storeAnswers } from './document-store';
export { freePort } from './free-port';
export { type LargeBundleSize, largeBundle, largeKeyId, type StarterParts, teamRole } from './large-bundle';
export { type Machine, readMachine } from './machine';
export { DEFAULT_NATS_CONFIG, type NatsServer, type NatsServerOptions, startNatsServer } from './nats-server';
export { builtProgram, builtPrograms } from './programs';
export { type CreateTokensOptions, createTokens, type Tokens } from './softhsm';
export { openTestStore, type TestStore } from './test-store';
export { type UntilOptions, until, untilEvent } from './until';
export { type TemporaryFolder, temporaryFolder, workspaceRoot } from './workspace';
