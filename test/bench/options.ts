import { parseArgs } from 'node:util';
import { type TokenName, tokenNames } from '../conformance/tokens';
import { scenarios } from './scenarios';

const whole = (name: string, text: string): number => {
  if (!/^[1-9]\d{0,6}$/.test(text)) refuse(`--${name} wants a whole number`);
  return Number(text);
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    concurrency: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '10' },
    workers: { type: 'string', default: '1' },
    keys: { type: 'string', default: '1000' },
    principals: { type: 'string' },
    /** Of `decisions`. */
    policies: { type: 'string', default: '1000' },
    /** Principals that use each key. */
    consumers: { type: 'string', default: '10' },
    token: { type: 'string', default: 'softhsm' },
    beside: { type: 'string' },
    'beside-concurrency': { type: 'string', default: '8' },
    processes: { type: 'string', default: '1' },
    'latency-ms': { type: 'string', default: '5' },
    sessions: { type: 'string', default: '16' },
    'library-only': { type: 'boolean', default: false },
    trials: { type: 'string', default: '100' },
    /** Of `rewrap`: REWRAP_KEYS_PER_SECOND. */
    rate: { type: 'string', default: '200' },
    /** Of `simulate`. */
    records: { type: 'string', default: '1000000' },
    threads: { type: 'string' },
    kill: { type: 'boolean', default: false },
    json: { type: 'string' },
    profile: { type: 'string' },
  },
});

/** What the command line asks for. */
export const options = {
  scenario: positionals[0] ?? '',
  concurrency: whole('concurrency', values.concurrency),
  seconds: whole('seconds', values.seconds),
  workers: whole('workers', values.workers),
  keys: whole('keys', values.keys),
  principals: whole('principals', values.principals ?? (positionals[0] === 'decisions' ? '10000' : '100')),
  policies: whole('policies', values.policies),
  consumers: whole('consumers', values.consumers),
  /** In which the workers' keys are. */
  token: values.token as TokenName,
  beside: values.beside,
  besideConcurrency: whole('beside-concurrency', values['beside-concurrency']),
  processes: whole('processes', values.processes),
  latencyMs: whole('latency-ms', values['latency-ms']),
  sessions: whole('sessions', values.sessions),
  libraryOnly: values['library-only'],
  trials: whole('trials', values.trials),
  rate: whole('rate', values.rate),
  records: whole('records', values.records),
  threads: values.threads === undefined ? undefined : whole('threads', values.threads),
  kill: values.kill,
  json: values.json,
  profile: values.profile,
};
export type Options = typeof options;

const known = [
  ...Object.keys(scenarios),
  'suspend',
  'policy-change',
  'revoke',
  'rewrap',
  'token',
  'keys',
  'hsm-scale',
  'decisions',
  'simulate',
];
if (!known.includes(options.scenario)) refuse(`no scenario ${options.scenario || 'given'}`);
if (options.beside !== undefined && !scenarios[options.beside]) refuse(`--beside: no scenario ${options.beside}`);
if (!tokenNames.includes(options.token)) refuse(`--token: ${tokenNames.join(' or ')}`);
if (options.scenario === 'hsm-scale' && options.token !== 'softhsm') refuse('--token: hsm-scale measures SoftHSM behind a network');
if (options.consumers > options.principals) refuse('--consumers: more than there are principals');

function refuse(why: string): never {
  console.error(
    `${why}\nusage: npm run bench -- ${Object.keys(scenarios).join('|')} [--concurrency N] [--seconds S] [--workers N] [--keys N] [--principals N] [--consumers N] [--token softhsm|kryoptic] [--beside SCENARIO [--beside-concurrency N]] [--json FILE] [--profile FOLDER]\n       npm run bench -- suspend|policy-change|revoke [--workers N] [--trials N] [--concurrency N] [--token softhsm|kryoptic] [--json FILE]\n       npm run bench -- rewrap [--keys N] [--rate N] [--kill] [--concurrency N] [--seconds S] [--principals N] [--workers N] [--json FILE]\n       npm run bench -- token [--processes N] [--seconds S] [--token softhsm|kryoptic] [--json FILE]\n       npm run bench -- keys [--keys N] [--workers N] [--json FILE] [--profile FOLDER]\n       npm run bench -- hsm-scale [--latency-ms N] [--sessions N] [--seconds S] [--library-only] [--json FILE]\n       npm run bench -- decisions [--policies N] [--principals N] [--json FILE]\n       npm run bench -- simulate [--records N] [--threads N] [--json FILE]`,
  );
  process.exit(64);
}
