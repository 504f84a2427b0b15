// A program that starts one child and then only lives: the spec ends it in several ways.
import { startChild } from '@claviger/testing';

const child = await startChild('sleep', ['1000']);
console.log(`child ${child.pid}`);
if (process.argv[2] === 'throw') throw new Error('uncaught');
if (process.argv[2] === 'exit') process.exit(0);
setInterval(() => {}, 1_000);
