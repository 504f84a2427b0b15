import preset from '../../jest.preset.js';

export default { ...preset, displayName: 'policy', testTimeout: 180_000 };
