// Creates an installation's secrets and keys in a folder: node dist/deploy/local/install.js FOLDER LIBRARY
import { createInstallation } from '@claviger/installation';

const [folder, libraryPath] = process.argv.slice(2);
if (!folder || !libraryPath) {
  console.error('usage: install FOLDER PKCS11_LIBRARY');
  process.exit(64);
}
createInstallation({ folder, libraryPath, report: (line) => console.log(line) });
