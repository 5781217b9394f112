/** Slipway as it stands beside rivals: one model, one engine, everything switched on that is on by default. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
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

export const SLIPWAY_FORMS: readonly SlipwayForm[] = [
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

/** Deploys the model, stops, and starts again on what was stored: the start that is measured is the one of a server with a model. */
export async function startForm(kit: Kit, form: SlipwayForm, model: string, cores: string): Promise<Served> {
  const dataFolder = mkdtempSync(join(tmpdir(), 'slipway-bench-'));
  const bytes = new Uint8Array(readFileSync(join(kit.made, 'models', `${model}.onnx`)));
  const body = readFileSync(join(kit.made, 'bodies', `${model === 'minilm' ? 'minilm' : 'tab'}.1.v2.json`));
  const first = await startSlipway({ cores, dataFolder });
  try {
    await deployBytes(first, { model, bytes, engine: form.engine });
  } finally {
    await first.stop();
  }
  const began = performance.now();
  const slipway = await startSlipway({ cores, dataFolder });
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
    takesBinary: true,
    grpc: slipway.grpcAddress === null ? null : { address: slipway.grpcAddress, form: 'grpc' },
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
