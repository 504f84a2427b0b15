// npm run docs: writes docs/reference.md from the contracts.
import { writeFileSync } from 'node:fs';
import { renderReference } from './render';

writeFileSync('docs/reference.md', renderReference());
