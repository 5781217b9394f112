/**
 * Clients of TensorFlow Serving and KServe, unchanged, against the whole server with models that scikit-learn exported, one that takes pictures and one that takes text.
 * Optional: `npm run test:clients`.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PROTOS } from '../fixtures/grpc-client.ts';
import type { RunningServer } from '../scenarios/running-server.ts';
import { hasPython, makeEnvironment, runChecksIn } from './python-environment.ts';
import { isPhoto, PICTURE, startServing, TABULAR } from './serving-models.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await startServing(['tensorflow-serving', 'tensorflow-serving-grpc', 'kserve-v1']);
}, 120_000);
afterAll(() => server?.dispose());

describe.skipIf(!hasPython)('tensorflow-serving-api over grpcio', () => {
  let saw: (check: string) => unknown;
  let shared: (check: string) => unknown;
  beforeAll(async () => {
    await makeEnvironment('serving-requirements');
    const words = [PROTOS, TABULAR, PICTURE, server.adminKey];
    const { 'tensorflow-serving-grpc': grpc, 'tensorflow-serving': rest } = server.protocolUrls;
    saw = await runChecksIn('serving-requirements', 'tensorflow_client.py', new URL(grpc!).host, rest!, ...words);
    shared = await runChecksIn(
      'serving-requirements',
      'tensorflow_client.py',
      server.grpcAddress,
      server.inferenceUrl,
      ...words,
    );
  }, 600_000);

  test.each(['its own ports', 'the shared ports'])('is answered by %s as scikit-learn answers', (where) => {
    const of = where === 'its own ports' ? saw : shared;
    expect(of('forest')).toEqual({ labels: true, probabilities: true, version: 1, signature: 'serving_default' });
    expect(of('columns')).toEqual({ labels: true, outputs: ['label'] });
    expect([of('classify'), of('regress'), of('multi')]).toEqual([true, true, ['regression_result']]);
    expect(of('text')).toEqual(['ünï ✓', '']);
    expect(of('rest forest')).toBe(true);
    isPhoto(of('photo'));
  });

  test('reads metadata and status', () => {
    expect(saw('metadata')).toEqual({
      method: 'tensorflow/serving/predict',
      shape: [-1, 8],
      outputs: ['label', 'probabilities'],
    });
    expect(saw('status')).toEqual([[1, 30, 0]]);
    expect(saw('rest status')).toEqual({
      model_version_status: [{ version: '1', state: 'AVAILABLE', status: { error_code: 'OK', error_message: '' } }],
    });
    expect(shared('rest status')).toMatchObject({
      model_version_status: [{ version: '1' }],
      name: 'forest',
      ready: true,
    });
  });

  test.each([
    ['unknown model', 'NOT_FOUND', 'Servable not found for request: Latest(nothing)'],
    [
      'missing input',
      'INVALID_ARGUMENT',
      'input size does not match signature: 0!=1 len({}) != len({X}). Sent extra: {}. Missing but required: {X}.',
    ],
    ['wrong type', 'INVALID_ARGUMENT', 'DT_FLOAT'],
    ['wrong shape', 'INVALID_ARGUMENT', 'must be 8'],
    ['unknown signature', 'FAILED_PRECONDITION', 'Serving signature key "other" not found.'],
    ['with a wrong key', 'UNAUTHENTICATED', 'key'],
  ])('%s: raises its own exception', (check, status, text) => {
    expect(saw(check)).toMatchObject({ status, message: expect.stringContaining(text) });
  });

  test('may send a key; is refused by REST with the usual texts', () => {
    expect(saw('with key')).toEqual(['Y']);
    expect(saw('rest unknown')).toEqual({
      status: 404,
      body: { error: 'Servable not found for request: Latest(nothing)', hint: expect.any(String) },
    });
    expect(saw('rest ragged')).toMatchObject({
      status: 400,
      body: { error: expect.stringContaining('Expecting tensor size: 1 but got: 2') },
    });
  });
});

describe.skipIf(!hasPython)('kserve.InferenceRESTClient', () => {
  let saw: (check: string) => unknown;
  let shared: (check: string) => unknown;
  beforeAll(async () => {
    await makeEnvironment('serving-requirements');
    saw = await runChecksIn(
      'serving-requirements',
      'kserve_client.py',
      server.protocolUrls['kserve-v1']!,
      TABULAR,
      PICTURE,
    );
    shared = await runChecksIn('serving-requirements', 'kserve_client.py', server.inferenceUrl, TABULAR, PICTURE);
  }, 600_000);

  test.each(['its own port', 'the shared port'])('finds server and models alive on %s, and is answered', (where) => {
    const of = where === 'its own port' ? saw : shared;
    expect([of('live'), of('ready'), of('predict')]).toEqual([true, true, true]);
    expect(of('text')).toEqual({ predictions: [['ünï ✓']] });
    isPhoto(of('photo'));
    expect(of('models')).toMatchObject({ models: expect.arrayContaining(['forest', 'photo']) });
    for (const check of ['structured event', 'binary event'])
      expect(of(check)).toMatchObject({ labels: true, type: 'io.kserve.inference.response' });
  });

  test('raises its own exceptions', () => {
    expect(saw('unknown model')).toMatchObject({
      status: 404,
      message: expect.stringContaining('Model with name nothing does not exist.'),
    });
    expect(saw('not ready')).toMatchObject({ status: 404 });
    expect(saw('ragged')).toMatchObject({ status: 400 });
    expect(saw('explain')).toMatchObject({ status: 501 });
  });
});
