/** NVIDIA's Python client and gRPC's own helpers, unchanged, against the whole server over gRPC. Optional: `npm run test:clients`. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fileSource } from '../../sdk/src/node.ts';
import { MODELS, type RunningServer, startServer } from '../scenarios/running-server.ts';
import { hasPython, makeEnvironment, runChecks } from './python-environment.ts';

const TYPES = [
  'bool',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'fp16',
  'fp32',
  'fp64',
];
const SCORES = [[30.75], [9.25]];

describe.skipIf(!hasPython)('tritonclient[grpc]', () => {
  let server: RunningServer;
  let saw: (check: string) => unknown;

  beforeAll(async () => {
    await makeEnvironment();
    server = await startServer();
    for (const name of ['mixed', 'strings', ...TYPES]) {
      const files = [await fileSource(join(MODELS, `${name}.onnx`), 'model.onnx')];
      // the tabular engine takes INT64 up to 2^53 only, and refuses the edges of the type that are sent here
      const engine = name === 'int64' ? 'onnxruntime' : 'auto';
      expect((await server.client.deploy({ model: name, files, engine })).outcome, name).toBe('served');
    }
    saw = await runChecks('triton_grpc_client.py', server.grpcAddress, server.adminKey);
  });
  afterAll(() => server?.dispose());

  test('sees a live and ready server, and which models and versions are ready', () => {
    expect(saw('health')).toEqual({ live: true, ready: true });
    expect(saw('model ready')).toEqual([true, true]);
    expect(saw('model ready unknown')).toMatchObject({ status: 'StatusCode.NOT_FOUND' });
  });

  test('reads the metadata of server and model', () => {
    expect(saw('server metadata')).toMatchObject({ name: 'slipway', extensions: expect.any(Array) });
    const inputs = [{ name: 'age' }, { name: 'plan' }];
    expect(saw('model metadata')).toMatchObject({ name: 'mixed', versions: ['1'], inputs });
  });

  test('is answered with its request id, the model and the version', () => {
    const response = { id: 'mine', model_name: 'mixed', model_version: '1' };
    expect(saw('mixed')).toMatchObject({ score: SCORES, response });
    expect(saw('version')).toBe('1');
    for (const check of ['no outputs named', 'async', 'priority and timeout', 'with key']) {
      expect(saw(check), check).toEqual(SCORES);
    }
  });

  test.each(TYPES)('carries a tensor of %s there and back unchanged', (name) => {
    expect(saw(`type ${name}`)).toEqual({ equal: true, dtype: true });
  });

  test('carries text there and back unchanged', () => {
    expect(saw('type strings')).toEqual({ equal: true });
  });

  test('may send compressed and large messages', () => {
    for (const coding of ['gzip', 'deflate']) expect(saw(`compressed ${coding}`), coding).toEqual(SCORES);
    expect([saw('large None'), saw('large gzip')]).toEqual([true, true]);
  });

  test('gets classes', () => {
    expect(saw('classification')).toEqual(['3.5:0']);
  });

  test('streams: answers in order, an error in its place', () => {
    const wanted = Array.from({ length: 20 }, (_, i) => (i === 10 ? expect.stringContaining('nothing') : `${i}`));
    expect(saw('stream')).toEqual(wanted);
  });

  test.each([
    ['error datatype', 'INVALID_ARGUMENT', 'INT32'],
    ['error missing input', 'INVALID_ARGUMENT', 'plan'],
    ['error unknown model', 'NOT_FOUND', 'nothing'],
    ['error unknown version', 'NOT_FOUND', '99'],
    ['error unknown output', 'INVALID_ARGUMENT', 'scores'],
    ['error deadline', 'DEADLINE_EXCEEDED', 'eadline'],
    ['error shared memory', 'UNIMPLEMENTED', 'memory'],
    ['error log settings', 'UNIMPLEMENTED', 'SLIPWAY_LOG_LEVEL'],
    ['error bad key', 'UNAUTHENTICATED', 'key'],
    ['unload without key', 'UNAUTHENTICATED', 'deploy'],
    ['unloaded', 'UNAVAILABLE', 'load'],
  ])('%s: raises its own exception with our status and message', (check, status, word) => {
    const { status: given, message } = saw(check) as { status: string; message: string };
    expect(given).toBe(`StatusCode.${status}`);
    expect(message).toContain(word);
  });

  test('reads configuration, statistics and the repository, and loads a model again', () => {
    expect(saw('config')).toMatchObject({
      config: {
        name: 'mixed',
        input: [
          { name: 'age', data_type: 'TYPE_FP32' },
          { name: 'plan', data_type: 'TYPE_STRING' },
        ],
      },
    });
    const { model_stats: stats } = saw('statistics') as {
      model_stats: { name: string; inference_count: string; inference_stats: { success: { count: string } } }[];
    };
    expect(stats).toHaveLength(1);
    expect(Number(stats[0]!.inference_count)).toBeGreaterThan(20);
    expect(Number(stats[0]!.inference_stats.success.count)).toBeGreaterThan(20);
    expect(saw('statistics of all')).toEqual(['mixed', 'strings', ...TYPES].sort());
    const { models } = saw('index') as { models: { name: string; state: string }[] };
    expect(models.find((one) => one.name === 'mixed')).toMatchObject({ version: '1', state: 'READY' });
    expect(saw('loaded')).toBe(true);
  });

  test('gRPC’s health checker and reflection client find what they look for', () => {
    expect(saw('health check')).toEqual([1, 1, 1]);
    expect(saw('health unknown')).toBe('NOT_FOUND');
    expect(saw('health watch')).toBe(1);
    expect(saw('reflection services')).toContain('inference.GRPCInferenceService');
    expect(saw('reflection methods')).toContain('ModelStreamInfer');
  });

  test('many threads share a connection', () => {
    expect(saw('threads')).toEqual({ calls: 400, different: 1 });
  });
});
