/** A whole server with two models that scikit-learn exported for tables, a regression, one that takes pictures and one that takes text. */
import { join } from 'node:path';
import { expect } from 'vitest';
import { fileSource } from '../../sdk/src/node.ts';
import { MODELS, ROOT, type RunningServer, startServer } from '../scenarios/running-server.ts';

export const TABULAR = join(ROOT, 'test/fixtures/tabular');
export const PICTURE = join(ROOT, 'test/fixtures/images/flower.jpg');
const DECODER = 'signature: {inputs: {image: {decoder: {kind: image, width: 24, height: 16, scale: 1/255}}}}\n';

/** @param alone protocols that have a port of their own; `forest` answers where no model is named */
export async function startServing(alone: readonly string[]): Promise<RunningServer> {
  const ports = alone.map((name) => `${name}=0`).join(',');
  const server = await startServer({ env: { SLIPWAY_PROTOCOL_PORTS: ports, SLIPWAY_DEFAULT_ENDPOINT: 'forest' } });
  const yaml = { path: 'slipway.yaml', blob: new Blob([DECODER]) };
  for (const [model, file, ...others] of [
    ['forest', join(TABULAR, 'random-forest.onnx')],
    ['columns', join(TABULAR, 'columns-onehot-forest.onnx')],
    ['ridge', join(TABULAR, 'ridge.onnx')],
    ['text', join(MODELS, 'strings.onnx')],
    ['photo', join(MODELS, 'image-mean.onnx'), yaml],
  ] as const) {
    const files = [await fileSource(file, 'model.onnx'), ...others];
    expect((await server.client.deploy({ model, files })).outcome, model).toBe('served');
  }
  return server;
}

/** Means of the colours of flower.jpg in the model's size. */
export function isPhoto(means: unknown): void {
  expect(means).toHaveLength(3);
  for (const mean of means as number[]) expect(mean > 0.05 && mean < 0.95, `${mean}`).toBe(true);
}
