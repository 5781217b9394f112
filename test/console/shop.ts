/** A server with something of everything in it, made through the SDK as its users would. */
import { openAsBlob, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { FileSource } from '../../sdk/src/client.ts';
import { eventually, MODELS, ROOT, type RunningServer, startServer, untilReady } from '../scenarios/running-server.ts';

export type Shop = RunningServer & {
  /** Of a prediction that is in the log. */
  readonly predictionId: string;
};

const CHALLENGER = join(ROOT, 'examples/credit-risk/challenger');
const SAMPLE = join(ROOT, 'examples/credit-risk');
const SHADOW =
  'stages: [{ kind: shadow, sample: 100%, noiseFloor: 100%, minPairs: 50, minDwell: 1h, gates: [{ kind: shadow, minPairs: 50, minCoverage: 0%, maxLatencyRatio: 1000 }] }]';
const ROWS = readFileSync(join(SAMPLE, 'rows.csv'), 'utf8').trim();

export async function fileOf(path: string, as = basename(path)): Promise<FileSource> {
  return { path: as, blob: await openAsBlob(path) };
}

export async function challengerFiles(): Promise<FileSource[]> {
  return Promise.all(['model.onnx', 'slipway.yaml', 'golden.json'].map((name) => fileOf(join(CHALLENGER, name))));
}

/** @param env further settings */
export async function openShop(env: Record<string, string> = {}): Promise<Shop> {
  const server = await startServer({ sample: true, env });
  const { client } = server;
  const [predictionId] = await Promise.all([
    risk(server),
    adder(server),
    client.keys.create({ name: 'shop', scopes: ['predict'] }),
    client.projects.create('fraud'),
  ]);
  return { ...server, predictionId };
}

/** The sample with a challenger, aliases, a logged prediction of several rows, and feedback; a canary begins. @returns its id */
async function risk(server: RunningServer): Promise<string> {
  const { client } = server;
  await untilReady(server, 'credit-risk');
  await client.policy.set('credit-risk', { sample: 1, fields: { 'input.*': 'keep', 'output.*': 'keep' } });
  await client.models.push({ model: 'credit-risk', files: await challengerFiles() });
  await client.aliases.set('credit-risk', 'champion', 1, { reason: 'first one that was good enough' });
  const csv = { type: 'text/csv', body: ROWS };
  // A policy holds a second after it was set.
  const logged = await eventually('a prediction in the log', async () => {
    await client.predictFile('credit-risk', csv);
    const { items } = await client.predictions.list('credit-risk', { limit: 1 }).page();
    return items[0];
  });
  await client.feedback.send([{ predictionId: `${logged.id}.${logged.row}`, truth: 'good' }], {
    endpoint: 'credit-risk',
  });
  await client.rollouts.start('credit-risk', { to: '2', strategy: 'canary', reason: 'a better model' });
  return logged.id;
}

/** A model whose second version decides otherwise, which a shadow has shown. */
async function adder(server: RunningServer): Promise<void> {
  const { client } = server;
  const files = async (file: string): Promise<FileSource[]> => [await fileOf(join(MODELS, file), 'model.onnx')];
  await client.deploy({ model: 'adder', files: await files('add.onnx'), environment: 'staging' });
  await client.policy.set('adder', { sample: 1, fields: { 'input.*': 'keep', 'output.*': 'keep' } });
  await client.models.push({ model: 'adder', files: await files('add-two.onnx') });
  const { sampleRequest } = await client.versions.show('adder', 1);
  await client.rollouts.start('adder', { to: '2', plan: SHADOW, reason: 'do they agree?' });
  await eventually('pairs that differ', async () => {
    await client.predict('adder', sampleRequest);
    const { shadows } = await client.rollouts.show('adder');
    return shadows.find((one) => one.name === 'candidate' && one.worst.length > 0 && one.pairs >= 5);
  });
}

/** Traffic until it is told to stop: charts need some. */
export function keepCalling(server: RunningServer, endpoint: string, everyMs = 25): () => Promise<void> {
  let going = true;
  const csv = { type: 'text/csv', body: ROWS };
  const run = async (): Promise<void> => {
    while (going) {
      await server.client.predictFile(endpoint, csv).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
  };
  const running = run();
  return async () => {
    going = false;
    await running;
  };
}
