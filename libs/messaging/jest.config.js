import preset from '../../jest.preset.js';

export default { ...preset, displayName: 'messaging', maxWorkers: 2, globalSetup: '<rootDir>/../../tools/jest-softhsm.js' };
