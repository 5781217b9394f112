/** NVIDIA's Python client, unchanged, against the whole server. Optional: `npm run test:clients`. */

import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fileSource } from '../../sdk/src/node.ts';
import { MODELS, type RunningServer, startServer } from '../scenarios/running-server.ts';
import { hasPython, makeEnvironment, runChecks } from './python-environment.ts';

const TYPES = ['bool', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64', 'fp32', 'fp64'];

describe.skipIf(!hasPython)('tritonclient[http]', () => {
  let server: RunningServer;
  let saw: (check: string) => unknown;

  beforeAll(async () => {
    await makeEnvironment();
    server = await startServer();
    for (const name of ['mixed', 'strings', 'zipmap-strings', 'fp16', ...TYPES]) {
      const files = [await fileSource(join(MODELS, `${name}.onnx`), 'model.onnx')];
      // the tabular engine takes INT64 up to 2^53 only, and refuses the edges of the type that are sent here
      const engine = name === 'int64' ? 'onnxruntime' : 'auto';
      expect((await server.client.deploy({ model: name, files, engine })).outcome, name).toBe('served');
    }
    const address = new URL(server.inferenceUrl).host;
    saw = await runChecks('triton_client.py', address, server.adminKey);
  });
  afterAll(() => server?.dispose());

  test('sees a live and ready server, and which models and versions are ready', () => {
    expect(saw('health')).toEqual({ live: true, ready: true });
    expect(saw('model ready')).toEqual([true, true, false, false]);
  });

  test('reads the metadata of server and model', () => {
    expect(saw('server metadata')).toMatchObject({ name: 'slipway', extensions: expect.any(Array) });
    expect(saw('model metadata')).toMatchObject({
      name: 'mixed',
      versions: ['1'],
      inputs: [{ name: 'age' }, { name: 'plan' }],
    });
  });

  test('is answered with its request id, the model and the version', () => {
    expect(saw('mixed')).toMatchObject({
      score: [[30.75], [9.25]],
      response: { id: 'mine', model_name: 'mixed', model_version: '1' },
    });
    expect(saw('version')).toBe('1');
  });

  test.each(TYPES)('carries a tensor of %s there and back unchanged', (name) => {
    expect(saw(`type ${name}`)).toMatchObject({ equal: true });
  });

  test('carries text there and back unchanged', () => {
    expect(saw('type strings')).toEqual({ equal: true });
  });

  test('may call without waiting, and with compressed bodies', () => {
    for (const check of ['async', 'compressed gzip', 'compressed deflate'])
      expect(saw(check), check).toEqual([[30.75], [9.25]]);
  });

  test.each([
    ['error datatype', '400', 'INT32'],
    ['error missing input', '400', 'plan'],
    ['error unknown model', '404', 'nothing'],
    ['error unknown version', '404', '99'],
    ['error unknown output', '400', 'scores'],
    ['error metadata', '404', 'nothing'],
  ])('%s: raises its own exception with our status and message', (check, status, word) => {
    const { status: given, message } = saw(check) as { status: string; message: string };
    expect(given).toBe(status);
    expect(message).toContain(word);
  });

  test.each([...TYPES, 'fp16', 'strings'])('carries a binary tensor of %s there and back unchanged', (name) => {
    expect(saw(`binary ${name}`)).toBe(true);
  });

  test('its defaults work: binary tensors, and no output named', () => {
    expect(saw('defaults')).toEqual([[30.75], [9.25]]);
    expect(saw('mixed forms')).toEqual([saw('defaults'), saw('defaults')]);
  });

  test('large tensors, compressed ones, and many calls at once', () => {
    for (const check of ['large', 'large gzip', 'large deflate', 'async many']) expect(saw(check), check).toBe(true);
    expect(saw('priority')).toEqual([[30.75], [9.25]]);
  });

  test('is told the classes of each row, best first, by name', () => {
    const rows = saw('classes binary') as string[][];
    expect(rows).toHaveLength(2);
    for (const row of rows) {
      expect(row).toHaveLength(2);
      for (const one of row) expect(one).toMatch(/^-?[\d.e-]+:\d+:\w+$/);
      const [best, next] = row.map(Number.parseFloat);
      expect(best).toBeGreaterThanOrEqual(next!);
    }
    expect(saw('classes json')).toEqual(rows);
  });

  test('reads statistics, configuration and the index', () => {
    expect(saw('statistics')).toMatchObject({
      model_stats: [{ name: 'fp32', version: '1', inference_stats: { success: { count: expect.any(Number) } } }],
    });
    const [{ inference_count: rows, execution_count: runs }] = (
      saw('statistics') as { model_stats: [{ inference_count: number; execution_count: number }] }
    ).model_stats;
    expect(rows).toBeGreaterThan(300_000);
    expect(runs).toBeGreaterThan(0);
    expect(saw('all statistics')).toEqual(expect.arrayContaining(['mixed', 'fp32']));
    expect(saw('config')).toMatchObject({ name: 'mixed', input: [{ name: 'age', data_type: 'TYPE_FP32' }, {}] });
    expect(saw('index')).toContainEqual({ name: 'mixed', version: '1', state: 'READY', reason: '' });
  });

  test('unloads and loads with a key that may', () => {
    expect(saw('unload without a key')).toMatchObject({ status: '401', message: expect.stringContaining('deploy') });
    expect(saw('unloaded')).toMatchObject({
      ready: false,
      index: { name: 'uint8', reason: 'unloaded' },
      infer: { status: '503', message: expect.stringContaining('slipway endpoints load uint8') },
    });
    expect(saw('loaded')).toEqual({ ready: true, infer: [[1]] });
    expect(saw('load with config')).toMatchObject({
      status: '400',
      message: expect.stringContaining('slipway deploy'),
    });
  });

  test.each([
    ['error shape', '400', '/inputs/0/shape'],
    ['error rows', '400', 'must be equal'],
    ['error bytes', '400', '/inputs/0/parameters/binary_data_size'],
    ['error sequence', '400', 'sequences are not offered'],
    ['error shared memory', '501', 'Shared memory is not offered'],
  ])('%s: is told the place', (check, status, word) => {
    expect(saw(check)).toMatchObject({ status, message: expect.stringContaining(word) });
  });
});
