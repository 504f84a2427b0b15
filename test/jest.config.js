import preset from '../jest.preset.js';

export default {
  ...preset,
  displayName: 'system',
  testMatch: ['<rootDir>/{system,conformance,fault-token,bench}/**/*.spec.ts'],
  testTimeout: 120_000,
};
