// Jest environment for tests that load SoftHSM: each worker of Jest has a token folder of its own. SoftHSM reads all tokens of its folder, and fails
// (CKR_GENERAL_ERROR) on one that another process is just making. Here, since the C environment is out of reach for a test.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TestEnvironment } from 'jest-environment-node';

export default class OwnTokens extends TestEnvironment {
  constructor(config, context) {
    const folder = join(process.env.CLAVIGER_TEST_TOKENS, `worker-${process.env.JEST_WORKER_ID ?? 1}`);
    const conf = join(folder, 'softhsm2.conf');
    if (!existsSync(conf)) {
      mkdirSync(join(folder, 'tokens'), { recursive: true, mode: 0o700 });
      writeFileSync(conf, `directories.tokendir = ${folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n`);
    }
    process.env.SOFTHSM2_CONF = conf;
    super(config, context);
  }
}
