// The program behind CLAVIGER_TEST_STORE_URL: one document store for a whole test run. Prints its URL; ends at SIGTERM, and with whoever started it.
import { once } from 'node:events';
import { removeOrphans } from './docker';
import { startDocumentStore } from './document-store';
import { temporaryFolder } from './workspace';

const stop = Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT'), once(process.stdin.resume(), 'close')]);
const dir = await temporaryFolder('shared-store');
const store = await startDocumentStore({ dir: dir.path });
process.stdout.write(`store ${store.url}\n`);
await stop;
await store.stop();
await dir.remove();
await removeOrphans().catch(() => {}); // containers of tests that were interrupted; without Docker there are none
process.exit(0);
