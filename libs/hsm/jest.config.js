import preset from '../../jest.preset.js';

export default { ...preset, displayName: 'hsm', globalSetup: '<rootDir>/../../tools/jest-softhsm.js' };
