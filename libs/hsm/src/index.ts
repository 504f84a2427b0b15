export {
  type Algorithm,
  type Custody,
  custodiesOf,
  type KeyUsage,
  type PairAlgorithm,
  type RsaAlgorithm,
  type SecretAlgorithm,
  type TokenFamily,
  usagesOf,
} from './algorithms';
export { createControlKeys, createCustomerKeys, createDetectionKeys, createLedgerKeys, tokenKeyLabels } from './ceremony';
export type { KeyHandle, KeySource } from './connection';
export type { Encapsulated } from './encapsulation';
export { type Look, lookAfresh } from './fresh-look';
export { gcmIvBytes, gcmTagBytes } from './gcm';
export { HsmError, type HsmErrorCode } from './hsm-error';
export { completeToken, initToken, type TokenState, tokenState } from './init-token';
export type { KeyOperations } from './key-operations';
export type { KeyWrapScheme } from './key-wrap';
export { moveWrappingKey, type WrappingKey } from './moved-keys';
export { readPin } from './pin-file';
export { probe, probeAsync } from './probe';
export type { Receiver, ReceiverRequest } from './receivers';
export { createRecoveryGroup, type MadeRecoveryGroup, type RecoveryGroupRequest, reshareRecoveryGroup } from './recovery-group';
export { assertShareOf, openRecoveryGroup } from './recovery-opening';
export { type RecoveryShare, shareDigest, shareOfText, textOfShare } from './recovery-shares';
export type { RewrapRequest } from './rewrapping';
export { quickSelfTest, type SelfTestReport, selfTest } from './self-test';
export type { ReceivedMaterial, ReceiveRequest, SendRequest } from './sent-keys';
export { type DigestScheme, type SignatureScheme, schemesOf } from './signature-schemes';
export type { SigningContext } from './signing-context';
export type { ObjectClass } from './templates';
export { canaryLabel, type Distance, Token, type TokenOptions } from './token';
export { type TokenObject, tokenContents, typeNameOf } from './token-contents';
export { type KeyFacts, keyFacts, type TokenFacts, tokenFacts } from './token-facts';
export { type HeldObject, tokenHoldings, withoutCanary } from './token-holdings';
export type { SessionKeyPair } from './token-keys';
export { releaseOf, supportOf, type TokenSupport } from './token-support';
export { type TransportScheme, transportSchemes } from './transport-schemes';
export { openEpoch, type TrustedSigner, trustedSigner } from './trusted-signers';
export { UnwrappedKeys, type UnwrappedKeysOptions, unwrappedKeyId } from './unwrapped-keys';
export type { UnwrapRequest } from './unwrapping';
export type { WrappedKeyMaterial } from './wrapped-keys';
