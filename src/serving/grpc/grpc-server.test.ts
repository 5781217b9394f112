import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect as dial } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { add, end, type GatewayProcess, identity, serve, tensor } from '../../../test/fixtures/gateway.ts';
import {
  connect,
  floats,
  floatsOf,
  HEALTH,
  OIP,
  type Reply,
  type TestClient,
} from '../../../test/fixtures/grpc-client.ts';
import { hashSecret, makeKey } from '../../base/access/key.ts';
import { DESCRIPTOR_SET } from './descriptors.ts';

const { status } = grpc;
const row = (model = 'add', ...values: number[]) => ({
  model_name: model,
  inputs: [{ name: 'X', datatype: 'FP32', shape: [1, 3] }],
  raw_input_contents: [floats(...(values.length === 0 ? [1, 2, 3] : values))],
});
const answerOf = ({ value }: Reply): number[] => floatsOf((value['raw_output_contents'] as Buffer[])[0]);
const failure = (promise: Promise<unknown>): Promise<grpc.ServiceError> =>
  promise.then(
    (value) => Promise.reject(new Error(`it succeeded: ${JSON.stringify(value)}`)),
    (error: grpc.ServiceError) => error,
  );

/** All that a stream says, and how it ended. */
async function collect(stream: grpc.ClientDuplexStream<object, Record<string, unknown>>) {
  const said: Record<string, unknown>[] = [];
  stream.on('data', (one: Record<string, unknown>) => said.push(one));
  stream.on('error', () => {});
  const ended = await new Promise<grpc.StatusObject>((resolve) => stream.on('status', resolve));
  return { said, ended };
}

describe('A gateway over gRPC', () => {
  let gateway: GatewayProcess;
  let client: TestClient;
  beforeAll(async () => {
    gateway = await serve({
      versions: [
        add(),
        add({ version: 2, file: 'add-two.onnx' }),
        add({ project: 'other', model: 'theirs' }),
        identity('fp16', 'FP16', 1),
        identity('int64', 'INT64', 1),
      ],
      endpoints: [
        { name: 'add', model: 'add', version: 1, pins: [2] },
        { project: 'other', name: 'theirs', model: 'theirs', version: 1 },
        { name: 'fp16', model: 'fp16', version: 1 },
        { name: 'int64', model: 'int64', version: 1 },
      ],
    });
    client = connect(gateway.grpcAddress);
  });
  afterAll(async () => {
    client?.close();
    await end(gateway);
  });

  test('answers a prediction with raw contents, and says which version answered under which id', async () => {
    const reply = await client.call(
      `${OIP}/ModelInfer`,
      { ...row(), id: 'mine' },
      { metadata: { 'x-request-id': 'r-1' } },
    );
    expect(answerOf(reply)).toEqual([2, 3, 4]);
    expect(reply.value).toMatchObject({ model_name: 'add', model_version: '1', id: 'mine' });
    expect(reply.value['outputs']).toMatchObject([{ name: 'Y', datatype: 'FP32', shape: ['1', '3'] }]);
    expect(reply.headers.get('x-request-id')).toEqual(['r-1']);
    expect(reply.headers.get('x-slipway-version')).toEqual(['1']);
    expect(reply.headers.get('x-prediction-id')[0]).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('takes typed contents, of several rows', async () => {
    const inputs = [{ name: 'X', datatype: 'FP32', shape: [2, 3], contents: { fp32_contents: [1, 2, 3, 4, 5, 6] } }];
    expect(answerOf(await client.call(`${OIP}/ModelInfer`, { model_name: 'add', inputs }))).toEqual([2, 3, 4, 5, 6, 7]);
  });

  test('carries 64-bit integers exactly, and half floats raw', async () => {
    const big = ['-9223372036854775808', '9007199254740993', '9223372036854775807'];
    const inputs = [{ name: 'X', datatype: 'INT64', shape: [3, 1], contents: { int64_contents: big } }];
    const { value } = await client.call(`${OIP}/ModelInfer`, { model_name: 'int64', inputs });
    const raw = Buffer.from((value['raw_output_contents'] as Buffer[])[0]!);
    expect([0, 8, 16].map((at) => `${raw.readBigInt64LE(at)}`)).toEqual(big);
    const half = { model_name: 'fp16', inputs: [{ name: 'X', datatype: 'FP16', shape: [1, 1] }] };
    const bits = Buffer.from([0x00, 0x3e]);
    const reply = await client.call(`${OIP}/ModelInfer`, { ...half, raw_input_contents: [bits] });
    expect(Buffer.from((reply.value['raw_output_contents'] as Buffer[])[0]!)).toEqual(bits);
  });

  test.each([
    ['name@version', { model_name: 'add@2' }, '2', [3, 4, 5]],
    ['model_version', { model_name: 'add', model_version: '2' }, '2', [3, 4, 5]],
    ['project/endpoint', { model_name: 'other/theirs' }, '1', [2, 3, 4]],
  ])('finds a model by %s', async (_how, names, version, wanted) => {
    const reply = await client.call(`${OIP}/ModelInfer`, { ...row(), ...names });
    expect(reply.value['model_version']).toBe(version);
    expect(answerOf(reply)).toEqual(wanted);
  });

  test.each<[string, object, number, RegExp]>([
    ['an unknown model', { model_name: 'ad' }, status.NOT_FOUND, /no endpoint ad; Did you mean add/],
    ['a version that is not loaded', { model_version: '9' }, status.NOT_FOUND, /no version 9 loaded/],
    ['a version that is no number', { model_version: 'x' }, status.NOT_FOUND, /add version x/],
    ['an unknown project', { model_name: 'nobody/add' }, status.NOT_FOUND, /no project nobody/],
    [
      'a wrong type',
      { inputs: [{ name: 'X', datatype: 'FP64', shape: [1, 3] }] },
      status.INVALID_ARGUMENT,
      /inputs\/0\/datatype is "FP64"/,
    ],
    [
      'a wrong shape',
      { inputs: [{ name: 'X', datatype: 'FP32', shape: [1, 4] }] },
      status.INVALID_ARGUMENT,
      /inputs\/0\/shape/,
    ],
    [
      'a shape whose product overflows',
      { inputs: [{ name: 'X', datatype: 'FP32', shape: ['1152921504606846978', 16] }] },
      status.INVALID_ARGUMENT,
      /2\^53/,
    ],
    ['too few bytes', { raw_input_contents: [floats(1)] }, status.INVALID_ARGUMENT, /raw_input_contents\/0 is 4 bytes/],
    ['no bytes', { raw_input_contents: [] }, status.INVALID_ARGUMENT, /contents is missing/],
    [
      'more raw entries than inputs',
      { raw_input_contents: [floats(1, 2, 3), floats(1)] },
      status.INVALID_ARGUMENT,
      /2 entries for 1 inputs/,
    ],
    [
      'raw and typed contents at once',
      { inputs: [{ name: 'X', datatype: 'FP32', shape: [1, 3], contents: { fp32_contents: [1, 2, 3] } }] },
      status.INVALID_ARGUMENT,
      /must be empty/,
    ],
    [
      'contents of another type',
      {
        inputs: [{ name: 'X', datatype: 'FP32', shape: [1, 3], contents: { int_contents: [1, 2, 3] } }],
        raw_input_contents: [],
      },
      status.INVALID_ARGUMENT,
      /int_contents is of the wrong type/,
    ],
    [
      'typed half floats',
      {
        model_name: 'fp16',
        inputs: [{ name: 'X', datatype: 'FP16', shape: [1, 1], contents: { fp32_contents: [1] } }],
        raw_input_contents: [],
      },
      status.INVALID_ARGUMENT,
      /raw_input_contents/,
    ],
    [
      'an input twice',
      {
        inputs: [
          { name: 'X', datatype: 'FP32', shape: [1, 3] },
          { name: 'X', datatype: 'FP32', shape: [1, 3] },
        ],
        raw_input_contents: [floats(1, 2, 3), floats(1, 2, 3)],
      },
      status.INVALID_ARGUMENT,
      /given twice/,
    ],
    ['an unknown output', { outputs: [{ name: 'Z' }] }, status.INVALID_ARGUMENT, /"Z" is not an output/],
    [
      'an unknown parameter',
      { parameters: { colour: { string_param: 'red' } } },
      status.INVALID_ARGUMENT,
      /parameters\/colour/,
    ],
    [
      'shared memory',
      {
        inputs: [
          { name: 'X', datatype: 'FP32', shape: [1, 3], parameters: { shared_memory_region: { string_param: 'r' } } },
        ],
      },
      status.INVALID_ARGUMENT,
      /shared memory/,
    ],
  ])('refuses %s', async (_what, change, code, text) => {
    const error = await failure(client.call(`${OIP}/ModelInfer`, { ...row(), ...change }));
    expect(error.code).toBe(code);
    expect(error.details).toMatch(text);
    expect(error.metadata.get('x-request-id')).toHaveLength(1);
  });

  test('ranks an output that is asked for as a classification', async () => {
    const outputs = [{ name: 'Y', parameters: { classification: { int64_param: 2 } } }];
    const { value } = await client.call(`${OIP}/ModelInfer`, { ...row('add', 5, 1, 9), outputs });
    expect(value['outputs']).toMatchObject([{ name: 'Y', datatype: 'BYTES', shape: ['1', '2'] }]);
    expect(Buffer.from((value['raw_output_contents'] as Buffer[])[0]!).toString()).toMatch(/10:2.*6:0/);
  });

  test('refuses a ranking that would keep others waiting', async () => {
    const rows = 60_000; // some 30 ms where one class is named, 130 where three are
    const input = { name: 'X', datatype: 'FP32', shape: [rows, 3] };
    const ask = (classes: number) =>
      client.call(`${OIP}/ModelInfer`, {
        model_name: 'add',
        inputs: [input],
        outputs: [{ name: 'Y', parameters: { classification: { int64_param: classes } } }],
        raw_input_contents: [Buffer.alloc(rows * 12)],
      });
    const error = await failure(ask(3));
    expect(error.code).toBe(status.RESOURCE_EXHAUSTED);
    expect(error.details).toMatch(/ranked/);
    expect((await ask(1)).value['outputs']).toMatchObject([{ shape: [`${rows}`, '1'] }]);
  });

  test('answers a stream in order; what is wrong with one message is said in the stream, which goes on', async () => {
    const stream = client.stream(`${OIP}/ModelStreamInfer`);
    const seen = collect(stream);
    for (let i = 0; i < 500; i++) stream.write({ ...row(i === 250 ? 'nothing' : 'add', i, i, i), id: `${i}` });
    stream.end();
    const { said, ended } = await seen;
    expect(ended.code).toBe(status.OK);
    const ids = said.map((one) => (one['infer_response'] as { id: string }).id);
    expect(ids).toEqual(Array.from({ length: 500 }, (_, i) => `${i}`));
    expect(said[250]!['error_message']).toMatch(/no endpoint nothing/);
    let answered = 0;
    for (const [i, one] of said.entries()) {
      // A machine that is busy with other tests may well be overloaded by five hundred messages at once.
      if (i === 250 || /^More requests come/.test(one['error_message'] as string)) continue;
      expect(one['error_message']).toBe('');
      const [raw] = (one['infer_response'] as { raw_output_contents: Buffer[] }).raw_output_contents;
      expect(floatsOf(raw)).toEqual([i + 1, i + 1, i + 1]);
      answered += 1;
    }
    expect(answered).toBeGreaterThan(100);
  });

  test('tells a deadline that passed, and that of the stream', async () => {
    const parameters = { timeout: { int64_param: 1 } };
    expect((await failure(client.call(`${OIP}/ModelInfer`, { ...row(), parameters }))).code).toBe(
      status.DEADLINE_EXCEEDED,
    );
    const stream = client.stream(`${OIP}/ModelStreamInfer`, { deadline: Date.now() + 100 });
    expect((await collect(stream)).ended.code).toBe(status.DEADLINE_EXCEEDED);
  });

  test('answers server and model questions as its REST form does', async () => {
    expect((await client.call(`${OIP}/ServerLive`, {})).value).toEqual({ live: true });
    expect((await client.call(`${OIP}/ServerReady`, {})).value).toEqual({ ready: true });
    expect((await client.call(`${OIP}/ModelReady`, { name: 'add', version: '2' })).value).toEqual({ ready: true });
    const [mine, rest] = await Promise.all([
      client.call(`${OIP}/ModelMetadata`, { name: 'add' }),
      fetch(`${gateway.url}/v2/models/add`).then((answer) => answer.json()),
    ]);
    const { inputs, outputs, ...same } = rest as { inputs: { shape: number[] }[]; outputs: { shape: number[] }[] };
    const asText = (tensors: { shape: number[] }[]) => tensors.map((one) => ({ ...one, shape: one.shape.map(String) }));
    expect(mine.value).toMatchObject({ ...same, inputs: asText(inputs), outputs: asText(outputs) });
    expect((await client.call(`${OIP}/ServerMetadata`, {})).value).toMatchObject({ name: 'slipway' });
    expect((await failure(client.call(`${OIP}/ModelMetadata`, { name: 'none' }))).code).toBe(status.NOT_FOUND);
  });

  test.each([
    ['SystemSharedMemoryStatus', /Shared memory/],
    ['CudaSharedMemoryRegister', /Shared memory/],
    ['TraceSetting', /Tracing/],
    ['LogSettings', /logged/],
    ['ModelInfr', /Did you mean .*ModelInfer/],
  ])('says that %s is not implemented, and why', async (method, text) => {
    const error = await failure(client.call(`${OIP}/${method}`, Buffer.alloc(0)));
    expect(error.code).toBe(status.UNIMPLEMENTED);
    expect(error.details).toMatch(text);
  });

  test('tells health checkers how the server and each model are', async () => {
    expect((await client.call(`${HEALTH}/Check`, {})).value).toEqual({ status: 'SERVING' });
    expect((await client.call(`${HEALTH}/Check`, { service: 'add' })).value).toEqual({ status: 'SERVING' });
    expect((await client.call(`${HEALTH}/Check`, { service: OIP })).value).toEqual({ status: 'SERVING' });
    expect((await failure(client.call(`${HEALTH}/Check`, { service: 'nothing' }))).code).toBe(status.NOT_FOUND);
    const { value } = await client.call(`${HEALTH}/List`, {});
    expect(value['statuses']).toMatchObject({ '': { status: 'SERVING' }, add: { status: 'SERVING' } });
    const watch = client.stream(`${HEALTH}/Watch`);
    const first = new Promise((resolve) => watch.once('data', resolve));
    watch.on('error', () => {});
    watch.write({ service: 'later' });
    expect(await first).toEqual({ status: 'SERVICE_UNKNOWN' });
    watch.cancel();
  });

  test.each(['grpc.reflection.v1', 'grpc.reflection.v1alpha'])('shows its .proto files through %s', async (name) => {
    const stream = client.stream(`${name}.ServerReflection/ServerReflectionInfo`);
    const seen = collect(stream);
    stream.write({ list_services: '*' });
    stream.write({ file_containing_symbol: `${OIP}.ModelInfer` });
    stream.write({ file_by_filename: 'model_config.proto' });
    stream.write({ file_containing_symbol: 'nothing.At' });
    stream.end();
    const { said } = await seen;
    const [services, symbol, file, unknown] = said as Record<string, Record<string, unknown>>[];
    expect((services!['list_services_response']!['service'] as { name: string }[]).map((one) => one.name)).toEqual([
      HEALTH,
      'grpc.reflection.v1.ServerReflection',
      'grpc.reflection.v1alpha.ServerReflection',
      OIP,
      'tensorflow.serving.ModelService',
      'tensorflow.serving.PredictionService',
    ]);
    const set = Buffer.from(DESCRIPTOR_SET, 'base64');
    const files = symbol!['file_descriptor_response']!['file_descriptor_proto'] as Buffer[];
    expect(files).toHaveLength(2); // with what it imports
    for (const one of files) expect(set.includes(Buffer.from(one))).toBe(true);
    expect(file!['file_descriptor_response']!['file_descriptor_proto']).toHaveLength(1);
    expect(unknown!['error_response']).toMatchObject({ error_code: status.NOT_FOUND });
  });

  test('takes compressed messages', async () => {
    const packed = connect(gateway.grpcAddress, { 'grpc.default_compression_algorithm': 2 });
    const inputs = [{ name: 'X', datatype: 'FP32', shape: [1000, 3] }];
    const raw_input_contents = [floats(...new Array<number>(3000).fill(1))];
    const reply = await packed.call(`${OIP}/ModelInfer`, { model_name: 'add', inputs, raw_input_contents });
    expect(answerOf(reply)).toEqual(new Array(3000).fill(2));
    packed.close();
  });

  test('moves messages far larger than a window', async () => {
    const rows = 700_000;
    const values = Float32Array.from({ length: rows * 3 }, (_, i) => i % 1000);
    const inputs = [{ name: 'X', datatype: 'FP32', shape: [rows, 3] }];
    const reply = await client.call(`${OIP}/ModelInfer`, {
      model_name: 'add',
      inputs,
      raw_input_contents: [Buffer.from(values.buffer)],
    });
    const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
    const raw = Buffer.from((reply.value['raw_output_contents'] as Buffer[])[0]!);
    expect(digest(raw)).toBe(digest(new Uint8Array(values.map((value) => value + 1).buffer)));
  });

  test('refuses a message that is too large before it has been sent', async () => {
    const error = await failure(client.call(`${OIP}/ModelInfer`, Buffer.alloc(65 * 1024 * 1024)));
    expect(error.code).toBe(status.RESOURCE_EXHAUSTED);
    expect(error.details).toMatch(/64 MiB.*SLIPWAY_MAX_BODY/);
  });

  test('refuses bytes that are no message', async () => {
    const error = await failure(client.call(`${OIP}/ModelInfer`, Buffer.from([0x0a, 0x7f, 0x61])));
    expect(error.code).toBe(status.INVALID_ARGUMENT);
    expect(error.details).toMatch(/no ModelInferRequest/);
  });

  test('tells a client of HTTP/1 what this port is', async () => {
    const said = await new Promise<string>((resolve) => {
      const socket = dial(Number(gateway.grpcAddress.split(':')[1]), '127.0.0.1');
      let text = '';
      socket.on('data', (bytes) => (text += bytes.toString()));
      socket.on('close', () => resolve(text));
      socket.write('GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n');
    });
    expect(said).toMatch(/^HTTP\/1.1 400 /);
    expect(said).toContain('This port speaks gRPC');
  });
});

describe('A gateway whose predictions need a key', () => {
  const { id, secret, text } = makeKey();
  const key = {
    desired: { id, project: null, secretSha256: hashSecret(secret), scopes: ['predict:add'], expiresAt: null },
  };
  let gateway: GatewayProcess;
  let client: TestClient;
  beforeAll(async () => {
    gateway = await serve(
      {
        versions: [add(), identity('int64', 'INT64', 1)],
        keys: [key.desired],
      },
      { env: { SLIPWAY_INFERENCE_AUTH: 'required' } },
    );
    client = connect(gateway.grpcAddress);
  });
  afterAll(async () => {
    client?.close();
    await end(gateway);
  });

  test('asks for it, and takes it as Bearer or as x-api-key', async () => {
    const without = await failure(client.call(`${OIP}/ModelInfer`, row()));
    expect(without.code).toBe(status.UNAUTHENTICATED);
    const ways: Record<string, string>[] = [{ authorization: `Bearer ${text}` }, { 'x-api-key': text }];
    for (const metadata of ways) {
      expect(answerOf(await client.call(`${OIP}/ModelInfer`, row(), { metadata }))).toEqual([2, 3, 4]);
    }
    const forbidden = await failure(
      client.call(`${OIP}/ModelInfer`, { ...row(), model_name: 'int64' }, { metadata: { 'x-api-key': text } }),
    );
    expect(forbidden.code).toBe(status.PERMISSION_DENIED);
    const wrong = { metadata: { authorization: `Bearer ${text}x` } };
    expect((await failure(client.call(`${OIP}/ModelInfer`, row(), wrong))).code).toBe(status.UNAUTHENTICATED);
    expect((await failure(client.call(`${OIP}/ModelMetadata`, { name: 'add' }))).code).toBe(status.UNAUTHENTICATED);
    expect((await failure(client.call(`${HEALTH}/Check`, { service: 'add' }))).code).toBe(status.UNAUTHENTICATED);
  });

  test('lets probes pass, which learn nothing of models', async () => {
    expect((await client.call(`${OIP}/ServerLive`, {})).value).toEqual({ live: true });
    expect((await client.call(`${HEALTH}/Check`, {})).value).toEqual({ status: 'SERVING' });
    expect((await client.call(`${HEALTH}/List`, {})).value['statuses']).not.toHaveProperty('add');
  });
});

describe('A gateway whose callers wait, hurry and give up', () => {
  const { id, secret, text } = makeKey();
  const limits = { rate: 0.001, burst: 1, concurrency: null, weight: 1 };
  const key = { id, project: null, secretSha256: hashSecret(secret), scopes: ['predict'], expiresAt: null, limits };
  let gateway: GatewayProcess;
  let client: TestClient;
  beforeAll(async () => {
    const signature = {
      inputs: [tensor('X', 'FP32', -1, 1), tensor('rounds', 'INT64', -1, 1)],
      outputs: [tensor('Y', 'FP32', -1, 1)],
    };
    const sampleRequest = { records: [{ X: 1, rounds: 1 }] };
    const slow = { model: 'slow', file: 'slow.onnx', signature, sampleRequest, canBatch: false };
    gateway = await serve({ versions: [add(), slow], keys: [key] });
    client = connect(gateway.grpcAddress);
  });
  afterAll(async () => {
    client?.close();
    await end(gateway);
  });
  const slowRow = (rounds: number) => ({
    model_name: 'slow',
    inputs: [
      { name: 'X', datatype: 'FP32', shape: [1, 1], contents: { fp32_contents: [1] } },
      { name: 'rounds', datatype: 'INT64', shape: [1, 1], contents: { int64_contents: [rounds] } },
    ],
  });

  test('refuses a key beyond its rate, and says when to come again', async () => {
    const metadata = { 'x-api-key': text };
    expect(answerOf(await client.call(`${OIP}/ModelInfer`, row(), { metadata }))).toEqual([2, 3, 4]);
    const error = await failure(client.call(`${OIP}/ModelInfer`, row(), { metadata }));
    expect(error.code).toBe(status.RESOURCE_EXHAUSTED);
    expect(Number(error.metadata.get('retry-after')[0])).toBeGreaterThan(0);
    expect(answerOf(await client.call(`${OIP}/ModelInfer`, row()))).toEqual([2, 3, 4]);
  });

  test('takes a priority of three words', async () => {
    const high = { metadata: { 'x-slipway-priority': 'high' } };
    expect(answerOf(await client.call(`${OIP}/ModelInfer`, row(), high))).toEqual([2, 3, 4]);
    const urgent = { metadata: { 'x-slipway-priority': 'urgent' } };
    expect((await failure(client.call(`${OIP}/ModelInfer`, row(), urgent))).code).toBe(status.INVALID_ARGUMENT);
  });

  test('never starts what was cancelled while it waited, and counts it as cancelled', async () => {
    const first = client.call(`${OIP}/ModelInfer`, slowRow(300_000));
    await pause(30);
    const calls: grpc.ClientUnaryCall[] = [];
    const others = Array.from({ length: 5 }, () =>
      failure(client.call(`${OIP}/ModelInfer`, slowRow(5_000_000), { onCall: (call) => calls.push(call) })),
    );
    await pause(30);
    for (const call of calls) call.cancel();
    for (const error of await Promise.all(others)) expect(error.code).toBe(status.CANCELLED);
    await first;
    const startedMs = performance.now();
    await client.call(`${OIP}/ModelInfer`, slowRow(1));
    expect(performance.now() - startedMs).toBeLessThan(15_000); // five runs of 5 s would come first; one may have been sent to the runner already
    const { value } = await client.call(`${OIP}/ModelStatistics`, { name: 'slow' });
    const [stats] = value['model_stats'] as {
      response_stats: Record<string, { cancel: { count: string } }>;
    }[];
    expect(stats!.response_stats['0']!.cancel.count).toBe('5');
  });

  test('gives up a call whose deadline passes while it waits', async () => {
    const first = client.call(`${OIP}/ModelInfer`, slowRow(300_000));
    await pause(20);
    const late = await failure(client.call(`${OIP}/ModelInfer`, slowRow(1), { metadata: { 'grpc-timeout': '5m' } }));
    expect(late.code).toBe(status.DEADLINE_EXCEEDED);
    await first;
  });
});

test('A gateway that ends answers what was sent, and tells its clients to go elsewhere', async () => {
  const gateway = await serve({ versions: [add()] });
  const clients = Array.from({ length: 4 }, () => connect(gateway.grpcAddress));
  const failures: string[] = [];
  let answered = 0;
  let asking = true;
  let stopping = false;
  const ask = async (client: TestClient): Promise<void> => {
    while (asking) {
      const mustBeAnswered = !stopping; // later ones are answered, or told to go elsewhere
      await client.call(`${OIP}/ModelInfer`, row()).then(
        () => (answered += 1),
        (error: grpc.ServiceError) => {
          if (mustBeAnswered || error.code !== status.UNAVAILABLE) failures.push(`${error.code} ${error.details}`);
        },
      );
      await pause(1);
    }
  };
  const asked = clients.flatMap((client) => Array.from({ length: 4 }, () => ask(client)));
  const watch = clients[0]!.stream(`${HEALTH}/Watch`);
  const health = collect(watch);
  watch.write({});
  await once(watch, 'data');
  while (answered <= 20) await pause(10);
  const before = answered;
  stopping = true;
  const stopped = gateway.stop('SIGTERM');
  await pause(20);
  asking = false;
  await Promise.all(asked);
  expect(await stopped).toBe(0);
  expect(failures).toEqual([]);
  expect(before).toBeGreaterThan(20);
  const { said, ended } = await health;
  expect(said).toEqual([{ status: 'SERVING' }, { status: 'NOT_SERVING' }]);
  expect(ended.code).toBe(status.OK);
  for (const client of clients) client.close();
  await end(gateway);
}, 90_000);
