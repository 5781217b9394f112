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
  await untilReady(server, 'credit-risk');
  await client.policy.set('credit-risk', { sample: 1, fields: { 'input.*': 'keep', 'output.*': 'keep' } });
  await client.models.push({ model: 'credit-risk', files: await challengerFiles() });
  await client.aliases.set('credit-risk', 'champion', 1, { reason: 'first one that was good enough' });
  await client.deploy({
    model: 'adder',
    files: [await fileOf(join(MODELS, 'add.onnx'), 'model.onnx')],
    environment: 'staging',
  });
  await client.keys.create({ name: 'shop', scopes: ['predict'] });
  await client.projects.create('fraud');
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
  return { ...server, predictionId: logged.id };
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
