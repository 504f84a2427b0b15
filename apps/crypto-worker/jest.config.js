import preset from '../../jest.preset.js';

export default {
  ...preset,
  displayName: 'crypto-worker',
  globalSetup: '<rootDir>/../../tools/jest-softhsm.js',
  testEnvironment: '<rootDir>/../../tools/jest-softhsm-environment.js',
};
