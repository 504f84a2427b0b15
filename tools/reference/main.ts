// npm run docs: writes docs/reference.md from the contracts, and docs/algorithms.md from their table and that of the HSM library.
import { writeFileSync } from 'node:fs';
import { renderAlgorithms } from './algorithms';
import { renderReference } from './render';

writeFileSync('docs/reference.md', renderReference());
writeFileSync('docs/algorithms.md', renderAlgorithms());
