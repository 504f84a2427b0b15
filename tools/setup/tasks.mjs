// What each root command runs once the machine is ready. `builds`: programs outside the projects, bundled before it starts. `kryoptic`: builds the
// post-quantum token where cargo is; it takes minutes, so the commands in a hurry use it only where it is there. `kmsEmulator`: the same, a minute.
export const TASKS = {
  demo: { builds: ['test/demo/main.ts'], program: 'dist/test/demo/main.js' },
  bench: { builds: ['test/bench/main.ts'], program: 'dist/test/bench/main.js' },
  conformance: { builds: ['test/conformance/main.ts'], program: 'dist/test/conformance/main.js', kryoptic: true },
  'fault-matrix': { builds: [], program: 'tools/fault-matrix.mjs' },
  'crash-rounds': { builds: [], program: 'tools/crash-rounds.mjs' },
  dev: { builds: ['deploy/local/dev.ts'], program: 'dist/deploy/local/dev.js' },
  test: {
    // Those below: what tests would build when they first need it, three of them at once.
    builds: [
      ...['test/demo/main.ts', 'test/conformance/main.ts'],
      ...['install', 'issue', 'recovery-group'].map((name) => `deploy/local/${name}.ts`),
    ],
    program: 'tools/test.mjs',
  },
  setup: { builds: [], program: undefined, kryoptic: true, kmsEmulator: true },
};
