import { readFileSync } from 'node:fs';

const root = import.meta.dirname;
const { swcrc: _, $schema: __, ...swc } = JSON.parse(readFileSync(`${root}/.swcrc`, 'utf8'));
const { compilerOptions } = JSON.parse(readFileSync(`${root}/tsconfig.base.json`, 'utf8'));

// One alias table (tsconfig paths) feeds tsc, esbuild and Jest.
const moduleNameMapper = Object.fromEntries(
  Object.entries(compilerOptions.paths).map(([alias, [file]]) => [`^${alias}$`, `${root}/${file}`]),
);

export default {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  moduleFileExtensions: ['ts', 'js', 'mjs', 'json', 'node'],
  transform: { '^.+\\.ts$': ['@swc/jest', { ...swc, swcrc: false }] },
  moduleNameMapper,
  testMatch: ['<rootDir>/test/**/*.spec.ts'],
  testTimeout: 60_000,
  // A global of Jest's is looked up slowly, and the Ed25519 of nkeys asks for Math in its inner loops: a connection to the broker took a second.
  sandboxInjectedGlobals: ['Math'],
};
