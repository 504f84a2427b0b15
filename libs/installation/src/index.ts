export { createInstallation, type Installation } from './create';
export { type AddedToken, addToken } from './further-token';
export { issueToken, type Login, newLogin, type TokenClaims, type TokenRequest, tokenType } from './issue-token';
export { layout, type TokenName, tokenNames, tokenOf } from './layout';
export { readSecret, writeSecret } from './secret-file';
