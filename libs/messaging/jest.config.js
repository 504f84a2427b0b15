import preset from '../../jest.preset.js';

export default {
  ...preset,
  displayName: 'messaging',
  globalSetup: '<rootDir>/../../tools/jest-softhsm.js',
  testEnvironment: '<rootDir>/../../tools/jest-softhsm-environment.js',
};
