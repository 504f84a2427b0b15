export { createInstallation, type Installation } from './create';
export { type AddedToken, addToken } from './further-token';
export { type TokenPlace, withToken } from './installation-token';
export { issueToken, type Login, newLogin, type TokenClaims, type TokenRequest, tokenType } from './issue-token';
export { layout, type TokenName, tokenNames, tokenOf } from './layout';
export {
  beginFolder,
  type Completion,
  completeCeremony,
  makeRecoveryGroup,
  readRecoveryGroup,
  reshareGroup,
  settleFolders,
} from './recovery-ceremony';
export { withScratchToken } from './scratch-token';
export { readSecret, writeSecret } from './secret-file';
export { type AddedSuccessor, addSuccessor } from './successor-token';
export { type ReadTranscript, readTranscript, signTranscript } from './transcript';
export { transcriptText } from './transcript-text';
