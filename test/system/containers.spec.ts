import { join } from 'node:path';
import type { Client } from '@claviger/client';
import { renderBrokerConfig } from '@claviger/messaging';
import {
  dockerAvailable,
  install,
  type ServerContainer,
  startNatsContainer,
  startStoreContainer,
  temporaryFolder,
  until,
} from '@claviger/testing';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { cast } from '../demo/cast';
import { LedgerCopy } from './ledger';
import { Load } from './load';
import { codeIn } from './raw-caller';
import { type System, startSystem } from './system';

// Broker and document store as machines of their own. Where no Docker engine answers these are skipped; CLAVIGER_REQUIRE_DOCKER=1 makes that a failure.
const inDocker = dockerAvailable();
if (!inDocker)
  console.warn(
    'skipped: no Docker engine answers, so broker and store do not run in containers here (faults.spec.ts has them as processes)',
  );
const testInDocker = inDocker ? test : test.skip;

let system: System;
let broker: ServerContainer;
let store: ServerContainer;
let kim: Client;
let payments: Client;
let ledger: LedgerCopy;
let keyId: string;
const cleanUp: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  if (!inDocker) return;
  const folder = await temporaryFolder('containers');
  cleanUp.push(() => folder.remove());
  const { identities } = await install(join(folder.path, 'installation'));
  broker = await startNatsContainer({ config: renderBrokerConfig({ identities, host: '0.0.0.0', port: 4222 }) });
  cleanUp.push(() => broker.stop());
  store = await startStoreContainer();
  cleanUp.push(() => store.stop());
  system = await startSystem('containers', { dir: folder.path, brokerUrl: broker.url, storeUrl: store.url });
  cleanUp.push(() => system.stop());
  let ada: Client;
  [kim, ada, payments] = await Promise.all([system.as('kim'), system.as('ada'), system.as('payments')]);
  ledger = new LedgerCopy(ada);
  ({ keyId } = await kim.keys.create({ name: 'payments/containers', algorithm: 'AES_256', consumers: [cast.payments.id] }));
});
afterEach(() => Load.stopAll());
afterAll(async () => {
  for (const step of cleanUp.reverse()) await step();
});

const keysAreMadeAgain = async () => {
  const administrator = await system.raw('kim');
  // A name of its own each time: one that nobody was answered for in time may have been made all the same.
  const made = () => administrator.ask('keys.create', { name: `made/${crypto.randomUUID()}`, algorithm: 'AES_256' });
  await until(async () => codeIn(await made()) === 'OK', {
    what: 'keys to be made again',
    timeoutMs: 40_000,
    everyMs: 200,
  });
};

/** Load, a fault, load again; every answer is in the ledger, which verifies. */
async function loadAround(fault: () => Promise<unknown>): Promise<Load> {
  const load = Load.ofClient(payments, keyId, 8);
  await load.more(50, 'before');
  await fault();
  await load.more(50, 'after');
  await load.stop();
  try {
    await load.hasItsRecords(ledger);
  } catch (error) {
    // What a machine that is not at hand said is the only trace there is.
    throw new Error(`${(error as Error).message}; audit says:\n${system.service('audit').child.logs().slice(-4_000)}`, { cause: error });
  }
  await keysAreMadeAgain();
  await ledger.verify(system.stack.trustFile);
  return load;
}

testInDocker('the broker is restarted: nothing that was answered is lost', async () => {
  await loadAround(() => broker.restart());
});

testInDocker('the broker is killed and started: nothing that was answered is lost', async () => {
  await loadAround(async () => {
    await broker.kill9();
    await broker.start();
  });
});

testInDocker('the broker stands still for longer than a view may be silent, and goes on: so do all', async () => {
  await loadAround(async () => {
    await broker.pause();
    // Until the services have noticed: their views have not been proven for 2 s.
    const ready = async () => (await fetch(`${system.service('crypto-worker').healthUrl}/health/ready`)).ok;
    await until(async () => !(await ready()), { what: 'the worker to be stale' });
    await broker.unpause();
  });
});

testInDocker('the store is restarted: keys are used meanwhile, and made again afterwards', async () => {
  const load = await loadAround(() => store.restart());
  expect({ codes: load.codes(), unanswered: load.unanswered }).toEqual({ codes: ['OK'], unanswered: [] });
});

testInDocker('the store stands still: keys are used, none is made, and it goes on where it was', async () => {
  const load = await loadAround(async () => {
    await store.pause();
    try {
      const during = Load.ofClient(payments, keyId, 4);
      await during.more(100, 'while the store stands still');
      await during.stop();
      expect(during.codes()).toEqual(['OK']);
    } finally {
      await store.unpause();
    }
  });
  expect({ codes: load.codes(), unanswered: load.unanswered }).toEqual({ codes: ['OK'], unanswered: [] });
});
