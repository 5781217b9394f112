/** Other systems' logs, in the forms that those write, into a real log. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Recording, startRecording } from '../../../test/fixtures/recording.ts';
import { rowsOf, timeOf } from './foreign-prediction.ts';
import type { ImportAsked } from './import-service.ts';

let r: Recording;
beforeEach(async () => {
  r = await startRecording();
  await r.monitoring.policies.set(
    r.call,
    'elsewhere',
    { sample: 1, fields: { 'input.email': 'drop' } },
    { elsewhere: true },
  );
});
afterEach(() => r.stop());

const take = (asked: ImportAsked) => r.monitoring.imports.import(r.call, 'elsewhere', asked);
const list = async () =>
  (await r.monitoring.predictions.list(r.call, 'elsewhere', {}, { after: null, limit: 100 })).toReversed();

const SAGEMAKER = [
  {
    captureData: {
      endpointInput: { observedContentType: 'text/csv', mode: 'INPUT', data: '41,pro\n20,free', encoding: 'CSV' },
      endpointOutput: {
        observedContentType: 'text/csv; charset=utf-8',
        mode: 'OUTPUT',
        data: '0.9\n0.1',
        encoding: 'CSV',
      },
    },
    eventMetadata: { eventId: '5ab5ed0e-8b5e-4ca5-9d7b-b9d2b4a3b1aa', inferenceTime: '2026-01-16T01:29:50Z' },
    eventVersion: '0',
  },
  {
    captureData: {
      endpointInput: {
        observedContentType: 'application/json',
        mode: 'INPUT',
        data: Buffer.from('{"instances":[{"age":37,"plan":"pro","email":"canary-import-1"}]}').toString('base64'),
        encoding: 'BASE64',
      },
      endpointOutput: {
        observedContentType: 'application/json',
        mode: 'OUTPUT',
        data: '{"predictions":[{"score":0.5}]}',
        encoding: 'JSON',
      },
    },
    eventMetadata: { eventId: 'e-2', inferenceId: 'mine-2', inferenceTime: '2026-01-16T01:29:51Z' },
    eventVersion: '0',
  },
];

const event = (side: 'request' | 'response', id: string, data: unknown, second: number) => ({
  specversion: '1.0',
  type: `org.kubeflow.serving.inference.${side}`,
  source: 'http://localhost:9081/',
  id,
  time: `2026-01-10T00:23:2${second}.0789529Z`,
  inferenceservicename: 'sklearn-iris',
  data,
});

describe('an import', () => {
  test('of SageMaker data capture, as CSV, JSON and base64; again it changes nothing', async () => {
    const asked = {
      format: 'sagemaker',
      text: SAGEMAKER.map((one) => JSON.stringify(one)).join('\n'),
      inputs: ['age', 'plan'],
      outputs: ['score'],
    } as const;
    expect(await take(asked)).toEqual({ accepted: 2, repeated: 0, waiting: 0 });
    const rows = await list();
    expect(rows.map((row) => [row.id, row.row, row.inputs, row.outputs])).toEqual([
      [SAGEMAKER[0]!.eventMetadata.eventId, 0, { age: 41, plan: 'pro' }, { score: 0.9 }],
      [SAGEMAKER[0]!.eventMetadata.eventId, 1, { age: 20, plan: 'free' }, { score: 0.1 }],
      ['mine-2', 0, { age: 37, plan: 'pro' }, { score: 0.5 }],
    ]);
    expect(await r.filesWith('canary-import-1')).toEqual([]);
    expect(await take(asked)).toMatchObject({ accepted: 0, repeated: 2 });
    // Also in other parts: the log knows the ids.
    expect(await take({ ...asked, text: JSON.stringify(SAGEMAKER[1]) })).toMatchObject({ accepted: 0, repeated: 1 });
    await r.monitoring.ingest();
    expect(await list()).toEqual(rows);
    const shown = await r.monitoring.profiles.show(r.call, 'elsewhere', { since: '2026-01-01T00:00:00Z' });
    expect(shown).toMatchObject({ predictions: 2, rows: 3, versions: [{ model: 'elsewhere', version: 1 }] });
    expect(shown.columns.map((one) => [one.column, one.values])).toEqual([
      ['input.age', 3],
      ['input.plan', 3],
      ['output.score', 3],
    ]);
    const label = { predictionId: 'mine-2', truth: 1 };
    expect(await r.monitoring.feedback.send(r.call, 'elsewhere', [label], '/items')).toMatchObject({ matched: 1 });
  });

  test("of KServe's CloudEvents joins requests with responses", async () => {
    const text = [
      event(
        'request',
        'k1',
        {
          instances: [
            [6.8, 2.8],
            [6, 3.4],
          ],
        },
        6,
      ),
      event('response', 'k2', { predictions: [2] }, 8),
      event('response', 'k1', { predictions: [1, 0] }, 7),
      event('request', 'k2', { instances: [[1, 2]] }, 7),
      event('request', 'k3', { instances: [[5, 5]] }, 9),
    ]
      .map((one) => JSON.stringify(one))
      .join('\n');
    expect(await take({ format: 'cloudevents', text, outputs: ['class'] })).toEqual({
      accepted: 2,
      repeated: 0,
      waiting: 1,
    });
    expect((await list()).map((row) => [row.id, row.row, row.model, row.latencyMs, row.inputs, row.outputs])).toEqual([
      ['k1', 0, 'sklearn-iris', 1000, { 0: 6.8, 1: 2.8 }, { class: 1 }],
      ['k1', 1, 'sklearn-iris', 1000, { 0: 6, 1: 3.4 }, { class: 0 }],
      ['k2', 0, 'sklearn-iris', 1000, { 0: 1, 1: 2 }, { class: 2 }],
    ]);
    await r.monitoring.imports.flush(true);
    expect((await list()).at(-1)).toMatchObject({ id: 'k3', inputs: { 0: 5, 1: 5 }, outputs: {} });
  });

  test("of Seldon's request log", async () => {
    const text = JSON.stringify({
      _index: 'inference-log-seldon-default-single-model',
      _id: 'a8ea9850-7102-42c7-80d0-a6c26f1d8159',
      _source: {
        '@timestamp': '2026-02-01T00:00:00.000Z',
        SdepName: 'single-model',
        request: { payload: { data: { names: ['age', 'amount'], ndarray: [[41, 7]] } }, dataType: 'tabular' },
        response: { payload: { meta: {}, data: { names: ['proba'], tensor: { shape: [1, 1], values: [0.19] } } } },
      },
    });
    expect(await take({ format: 'seldon', text })).toMatchObject({ accepted: 1 });
    expect(await list()).toMatchObject([
      { model: 'single-model', inputs: { age: 41, amount: 7 }, outputs: { proba: 0.19 } },
    ]);
  });

  test("of Seldon's request log, a document for each row of a batch: the batch is there once", async () => {
    const documents = [0, 1].map((item) => ({
      _id: `m2-item-${item}`,
      _source: {
        ServingEngine: 'seldon',
        'Ce-Inferenceservicename': 'iris',
        '@timestamp': '2026-02-01T00:00:00.100Z',
        RequestId: 'm2',
        request: {
          dataType: 'tabular',
          instance: [
            [6.8, 2.8],
            [6.0, 3.4],
          ][item],
          payload: {
            instances: [
              [6.8, 2.8],
              [6.0, 3.4],
            ],
          },
          'ce-time': '2026-02-01T00:00:00.100Z',
        },
        response: {
          payload: {
            predictions: [
              [0.1, 0.9],
              [0.4, 0.6],
            ],
          },
          'ce-time': '2026-02-01T00:00:00.115Z',
        },
      },
    }));
    const [first, second] = documents.map((one) => JSON.stringify(one));
    expect(await take({ format: 'seldon', text: first! })).toMatchObject({ accepted: 1 });
    expect(await take({ format: 'seldon', text: second! })).toMatchObject({ accepted: 0, repeated: 1 });
    const rows = await list();
    expect(rows.map((row) => [row.id, row.row, row.model, row.latencyMs, row.inputs, row.outputs])).toEqual([
      ['m2', 0, 'iris', 15, { 0: 6.8, 1: 2.8 }, { 0: 0.1, 1: 0.9 }],
      ['m2', 1, 'iris', 15, { 0: 6, 1: 3.4 }, { 0: 0.4, 1: 0.6 }],
    ]);
  });

  test('of data capture with CSV in and JSON out: lists beside the predictions are columns too', async () => {
    const record = {
      captureData: {
        endpointInput: { observedContentType: 'text/csv', mode: 'INPUT', data: '6,148,72\n', encoding: 'CSV' },
        endpointOutput: {
          observedContentType: 'application/json',
          mode: 'OUTPUT',
          data: '{"predictions":[1],"probabilities":[0.85],"model":"v1"}',
          encoding: 'JSON',
        },
      },
      eventMetadata: {
        eventId: 'a1b2',
        customAttributes: ['trace=1'],
        inferenceTime: '2026-02-01T10:30:45.123Z',
      },
      eventVersion: '0',
    };
    const asked = { format: 'sagemaker', text: JSON.stringify(record), outputs: ['class'] } as const;
    expect(await take(asked)).toMatchObject({ accepted: 1 });
    expect((await list())[0]).toMatchObject({
      inputs: { 0: 6, 1: 148, 2: 72 },
      outputs: { class: 1, probabilities: 0.85 },
    });
  });

  test('of the same predictions twice at the same time: they are there once', async () => {
    const table = (extra: string) => ({
      format: 'csv' as const,
      text: `id,at,age\nd1,2026-02-01T00:00:00Z,41\n${extra}`,
    });
    const [one, two] = await Promise.all([take(table('')), take(table('d2,2026-02-01T00:00:01Z,42\n'))]);
    expect([one.accepted, two.accepted]).toEqual([1, 1]);
    expect((await list()).map((row) => row.id)).toEqual(['d1', 'd2']);
  });

  test('of a table, and of our own export, which gives the same again', async () => {
    const text = 'uuid,time,age,plan,score\na,2026-02-01T00:00:00Z,41,pro,0.9\nb,1767225600,,free,0.1\n';
    expect(await take({ format: 'csv', text, id: 'uuid', at: 'time', outputs: ['score'] })).toMatchObject({
      accepted: 2,
    });
    const rows = await list();
    expect(rows.map((row) => [row.id, row.inputs, row.outputs])).toEqual([
      ['b', { plan: 'free' }, { score: 0.1 }],
      ['a', { age: 41, plan: 'pro' }, { score: 0.9 }],
    ]);
    const file = await r.monitoring.predictions.export(r.call, 'elsewhere', {}, 'csv', false);
    const chunks: Buffer[] = [];
    for await (const chunk of file!.stream) chunks.push(chunk as Buffer);
    await r.monitoring.policies.set(r.call, 'copy', { sample: 1 }, { elsewhere: true });
    const exported = Buffer.concat(chunks).toString();
    expect(await r.monitoring.imports.import(r.call, 'copy', { format: 'csv', text: exported })).toMatchObject({
      accepted: 2,
    });
    const copied = await r.monitoring.predictions.list(r.call, 'copy', {}, { after: null, limit: 10 });
    expect(copied.toReversed().map(({ id, at, inputs, outputs }) => ({ id, at, inputs, outputs }))).toEqual(
      rows.map(({ id, at, inputs, outputs }) => ({ id, at, inputs, outputs })),
    );
  });

  test('tells every line that cannot be read, takes nothing of the request then, and says nothing of what stands there', async () => {
    const error = (await take({
      format: 'sagemaker',
      firstLine: 101,
      text: ['{"captureData":{}}', JSON.stringify(SAGEMAKER[0]), 'canary-import-2', '[]', '{"eventMetadata":{}}'].join(
        '\n',
      ),
    }).catch((thrown: unknown) => thrown)) as { fields: { pointer: string }[] };
    expect(error.fields.map((one) => one.pointer)).toEqual(['line 101', 'line 103', 'line 104', 'line 105']);
    expect(JSON.stringify(error)).not.toContain('canary-import-2');
    expect(await list()).toEqual([]);
    await expect(take({ format: 'csv', text: 'a,b\n1,2\n', at: 'time' })).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('has no column time'),
    });
    await expect(take({ format: 'csv', text: 'id,at\n1,2,3\nx,never\n', firstLine: 2 })).rejects.toMatchObject({
      fields: [
        { pointer: 'line 2', message: expect.any(String) },
        { pointer: 'line 3', message: 'at is no time' },
      ],
    });
  });

  test('a column keeps its kind: what does not fit it is missing', async () => {
    await take({ format: 'csv', text: 'id,at,age\n1,2026-02-01T00:00:00Z,41\n' });
    await take({ format: 'csv', text: 'id,at,age\n2,2026-02-02T00:00:00Z,old\n3,2026-02-03T00:00:00Z,7\n' });
    expect((await list()).map((row) => row.inputs)).toEqual([{ age: 41 }, {}, { age: 7 }]);
    const where = { where: 'input.age > 10' };
    expect(await r.monitoring.predictions.list(r.call, 'elsewhere', where, { after: null, limit: 9 })).toHaveLength(1);
  });

  test('needs a policy first, under a name that nobody serves', async () => {
    const asked = { format: 'csv', text: 'id,at\n1,1\n' } as const;
    await expect(r.monitoring.imports.import(r.call, 'nobody', asked)).rejects.toMatchObject({
      code: 'endpoint_not_found',
    });
    await expect(r.monitoring.policies.set(r.call, 'nobody', {})).rejects.toMatchObject({ code: 'endpoint_not_found' });
  });
});

describe('events', () => {
  const post = (headers: Record<string, unknown>, body: unknown) =>
    r.monitoring.imports.events(r.call, 'elsewhere', headers, body);

  test('come in binary and structured mode, and in batches, in any order', async () => {
    const binary = (type: string, requestid: string) => ({
      'ce-specversion': '1.0',
      'ce-type': `io.seldon.serving.inference.${type}`,
      'ce-id': `${requestid}-${type}`,
      'ce-requestid': requestid,
      'ce-time': '2026-03-01T00:00:00Z',
      'ce-inferenceservicename': 'seldon-model',
    });
    expect(await post(binary('response', 's1'), { data: { names: ['p'], ndarray: [[0.3]] } })).toMatchObject({
      waiting: 1,
    });
    expect(await post(binary('request', 's1'), { data: { names: ['x'], ndarray: [[9]] } })).toMatchObject({
      accepted: 1,
      waiting: 0,
    });
    await post(
      {},
      event('request', 'k1', { inputs: [{ name: 'x', shape: [2, 1], datatype: 'FP32', data: [1, 2] }] }, 5),
    );
    expect(
      await post({}, [event('response', 'k1', { outputs: [{ name: 'y', shape: [2], data: [3, 4] }] }, 6)]),
    ).toMatchObject({ accepted: 1 });
    expect(await list()).toEqual([]);
    await r.monitoring.imports.flush();
    expect((await list()).map((row) => [row.id, row.inputs, row.outputs])).toEqual([
      ['k1', { x: 1 }, { y: 3 }],
      ['k1', { x: 2 }, { y: 4 }],
      ['s1', { x: 9 }, { p: 0.3 }],
    ]);
  });

  test('need no time of their own, and are bounded while they cannot be written', async () => {
    const bare = { specversion: '1.0', type: 'org.kubeflow.serving.inference.request', id: 't1' };
    await post({}, { ...bare, data: { instances: [[1]] } });
    await r.monitoring.imports.flush(true);
    expect(Math.abs(Date.parse((await list())[0]!.at) - Date.now())).toBeLessThan(10_000);
    const many = (from: number) =>
      Array.from({ length: 15_000 }, (_, at) => event('request', `b${from + at}`, { instances: [[1]] }, 1));
    await post({}, many(0));
    await expect(post({}, many(15_000)).then(() => post({}, many(30_000)))).rejects.toMatchObject({
      code: 'overloaded',
    });
  });

  test.each([
    [{ type: 'else', id: 'a', time: '2026-01-01T00:00:00Z' }, 'is of a type other than'],
    [{ type: 'x.inference.request', time: '2026-01-01T00:00:00Z' }, 'has no id'],
    ['text', 'is no CloudEvent'],
    [null, 'is no CloudEvent'],
  ])('that say nothing of a prediction are refused: %j', async (body, message) => {
    await expect(post({}, body)).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining(message),
    });
  });
});

test('payloads of every form become rows', () => {
  expect(rowsOf({ instances: [[1, 2]] }, ['a', 'b'])).toEqual([{ a: 1, b: 2 }]);
  expect(rowsOf({ predictions: [[0.1, 0.9]] }, [])).toEqual([{ 0: 0.1, 1: 0.9 }]);
  expect(rowsOf({ strData: 'words' }, ['text'])).toEqual([{ text: 'words' }]);
  expect(rowsOf({ age: 1, list: [1, 2], deep: { x: [1] }, none: null }, [])).toEqual([
    { age: 1, list: [1, 2], deep: '{"x":[1]}', none: null },
  ]);
  expect(() => rowsOf({ inputs: [{ name: 'x', shape: [3], data: [1, 2] }] }, [])).toThrow('shape');
  expect([timeOf('1767225600'), timeOf(1767225600123), timeOf('never'), timeOf('')]).toEqual([
    1767225600000,
    1767225600123,
    null,
    null,
  ]);
});
