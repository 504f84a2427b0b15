export type { AlertNotice, WatchAlertsOptions } from './alerts';
export type { CallOptions, OnApprovalRequired, Unapproved } from './caller';
export { ClavigerError } from './claviger-error';
export { type Client, type ConnectOptions, connect } from './client';
export type { Credential, TokenSource } from './credential';
export type { DataKeyBounds } from './envelope/data-keys';
export type { EnvelopeOptions } from './envelope/envelope';
export type { CallInput, Operations, Outcome } from './operations';
export type { ReEncryptAllOptions, ReEncrypted, ToReEncrypt } from './re-encrypt-all';
