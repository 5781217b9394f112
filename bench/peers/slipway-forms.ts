/** Slipway as it stands beside rivals: one model, one engine, everything switched on that is on by default. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SETTINGS } from '../../src/base/settings.ts';
import { ENGINES } from '../../src/serving/engines/engine-facts.ts';
import { deployBytes, startSlipway } from '../contenders.ts';
import type { Kit } from './kit.ts';
import type { Served } from './served.ts';

export type SlipwayForm = {
  readonly name: string;
  readonly engine: string;
  readonly note: string;
  /** Models that this engine can run. */
  readonly models: readonly string[];
};

const ALL_FORMS: readonly SlipwayForm[] = [
  {
    name: 'slipway tabular',
    engine: 'tabular',
    note: 'the tabular engine, inside the gateway',
    models: ['tab', 'mlp'],
  },
  {
    name: 'slipway onnxruntime',
    engine: 'onnxruntime',
    note: 'ONNX Runtime in an isolated runner',
    models: ['tab', 'mlp', 'minilm'],
  },
];

/** The forms whose engine this release has. */
export const SLIPWAY_FORMS = ALL_FORMS.filter((form) =>
  ENGINES.some((engine) => (engine.name as string) === form.engine),
);

const hasGrpc = 'grpcPort' in SETTINGS;

/** Deploys the model, stops, and starts again on what was stored: the start that is measured is the one of a server with a model. */
export async function startForm(kit: Kit, form: SlipwayForm, model: string, cores: string): Promise<Served> {
  const dataFolder = mkdtempSync(join(tmpdir(), 'slipway-bench-'));
  const grpcPort = hasGrpc ? await freePort() : null;
  const env = grpcPort === null ? {} : { SLIPWAY_GRPC_PORT: String(grpcPort) };
  const bytes = new Uint8Array(readFileSync(join(kit.made, 'models', `${model}.onnx`)));
  const body = readFileSync(join(kit.made, 'bodies', `${model === 'minilm' ? 'minilm' : 'tab'}.1.v2.json`));
  const first = await startSlipway({ cores, dataFolder, env });
  try {
    await deployBytes(first, { model, bytes, engine: form.engine });
  } finally {
    await first.stop();
  }
  const began = performance.now();
  const slipway = await startSlipway({ cores, dataFolder, env });
  const url = new URL(`/v2/models/${model}/infer`, slipway.url('open-inference')!).href;
  await untilAnswered(url, body);
  return {
    name: form.name,
    kind: 'slipway',
    note: form.note,
    tree: slipway.tree,
    startMs: performance.now() - began,
    url,
    jsonForm: 'v2',
    takesBinary: await takesBinary(kit, url, model),
    grpc: grpcPort === null ? null : { address: `127.0.0.1:${grpcPort}`, form: 'grpc' },
    async stop() {
      await slipway.stop();
      rmSync(dataFolder, { recursive: true, force: true });
    },
  };
}

async function untilAnswered(url: string, body: Uint8Array<ArrayBuffer>): Promise<void> {
  for (let tries = 0; tries < 6000; tries++) {
    const response = await fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
    await response.arrayBuffer();
    if (response.ok) return;
    await sleep(5);
  }
  throw new Error(`no prediction from ${url} within 30 s of the start`);
}

/** Asked rather than assumed: a case that would only measure refusals is left out. */
async function takesBinary(kit: Kit, url: string, model: string): Promise<boolean> {
  if (model !== 'tab') return false;
  const body = readFileSync(join(kit.made, 'bodies/tab.1.bin'));
  const headerBytes = readFileSync(join(kit.made, 'bodies/tab.1.bin.hlen'), 'utf8').trim();
  const response = await fetch(url, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/octet-stream', 'inference-header-content-length': headerBytes },
  });
  await response.arrayBuffer();
  return response.ok;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
