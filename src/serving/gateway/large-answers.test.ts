import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { add, end, type GatewayProcess, serve } from '../../../test/fixtures/gateway.ts';
import { createLogger } from '../../base/log.ts';
import type { Signature } from '../../registry/signature.ts';
import type { InferRequest, WireAnswer } from '../protocols/protocol.ts';
import { PROTOCOLS } from '../protocols/protocols.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { createLargeAnswers, isFew, type LargeAnswers, takesLong } from './large-answers.ts';

const signature: Signature = {
  inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 3] }],
  outputs: [
    { name: 'p', datatype: 'FP32', shape: [-1, 3], labels: ['a', 'b', 'ü'] },
    { name: 'n', datatype: 'INT64', shape: [-1] },
    { name: 't', datatype: 'BYTES', shape: [-1] },
  ],
};
const outputsOf = (rows: number): Tensor[] => [
  { name: 'p', datatype: 'FP32', shape: [rows, 3], data: Float32Array.from({ length: rows * 3 }, (_, i) => i / 7) },
  { name: 'n', datatype: 'INT64', shape: [rows], data: BigInt64Array.from({ length: rows }, (_, i) => BigInt(-i)) },
  {
    name: 't',
    datatype: 'BYTES',
    shape: [rows],
    data: Array.from({ length: rows }, (_, i) => `é𝄞"${'x'.repeat(i % 9)}`),
  },
];
const answered = { endpoint: 'm', version: 2, predictionId: 'id', signature };
const routeOf = (path: string) => {
  const route = PROTOCOLS.flatMap(({ routes }) => routes).find((one) => one.kind === 'infer' && one.path === path);
  if (route?.kind !== 'infer') throw new Error(path);
  return route;
};
const placeOf = (path: string) => ({ protocol: path === PREDICT ? 'plain' : 'open-inference', path });
const INFER = '/v2/models/{endpoint}/infer';
const PREDICT = '/endpoints/{endpoint}/predict';
const requestOf = (rows: number, changes: Partial<InferRequest> = {}): InferRequest => ({
  id: 'mine',
  inputs: [],
  rows,
  outputs: null,
  ...changes,
});
const write = (
  answers: LargeAnswers,
  work: Parameters<LargeAnswers['write']>[0],
  withinMs = 60_000,
): Promise<WireAnswer> =>
  new Promise((resolve, reject) => {
    answers.write(work, performance.now() + withinMs, (error, content) =>
      error === null ? resolve(content!) : reject(error),
    );
  });
const bytesOf = (content: string | WireAnswer): Buffer => {
  const body = typeof content === 'string' ? content : content.body;
  if (typeof body === 'string') return Buffer.from(body);
  return Buffer.concat(body instanceof Uint8Array ? [body] : body);
};

describe('the threads', () => {
  const answers = createLargeAnswers({ log: createLogger('gateway', 'error') });
  afterAll(() => answers.close());

  test.each<[string, string, Partial<InferRequest>]>([
    ['v2 JSON', INFER, {}],
    ['v2 JSON of some outputs', INFER, { outputs: ['t', 'p'] }],
    ['v2 binary', INFER, { form: { binary: [true, true, true], classes: [0, 0, 0] } }],
    ['v2 classes', INFER, { form: { binary: [false, true, true], classes: [2, 0, 0] } }],
    ['plain JSON', PREDICT, {}],
    ['NDJSON', PREDICT, { form: 'application/x-ndjson' }],
    ['CSV', PREDICT, { form: 'text/csv' }],
    ['Arrow', PREDICT, { form: 'application/vnd.apache.arrow.stream' }],
    ['one text', '/v2/models/{endpoint}/generate', { outputs: ['t'] }],
    ['events', '/v2/models/{endpoint}/generate_stream', { outputs: ['t'] }],
  ])(
    'write %s as the loop does',
    async (_, path, changes) => {
      for (const rows of [1, 20_000]) {
        const request = requestOf(rows, changes);
        const here = routeOf(path).write(request, outputsOf(rows), answered);
        const there = await write(answers, { ...placeOf(path), request, outputs: outputsOf(rows), answered });
        expect(bytesOf(there).equals(bytesOf(here))).toBe(true);
        expect(there.contentType).toBe(typeof here === 'string' ? 'application/json' : here.contentType);
        expect(there.headers).toEqual(typeof here === 'string' ? undefined : here.headers);
      }
    },
    60_000,
  );

  test('leave memory alone that others may look at', async () => {
    const all = Float32Array.from({ length: 200_000 }, (_, i) => i);
    const view: Tensor = { name: 'p', datatype: 'FP32', shape: [30_000, 3], data: all.subarray(300, 90_300) };
    const work = { ...placeOf(INFER), request: requestOf(30_000), outputs: [view], answered };
    expect(bytesOf(await write(answers, work)).toString()).toContain('"data":[300,301,');
    expect(all[300]).toBe(300);
    expect(answers.waitingBytes).toBe(0);
  });

  test('stop at the deadline, and go on with what waits', async () => {
    const rows = 100_000;
    const work = { ...placeOf(PREDICT), request: requestOf(rows), outputs: outputsOf(rows), answered };
    const small = { ...placeOf(INFER), request: requestOf(2), outputs: outputsOf(2), answered };
    const late = write(answers, work, 20);
    const next = Promise.all(Array.from({ length: 6 }, () => write(answers, small)));
    await expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' });
    expect(await next).toHaveLength(6);
    expect(answers.waitingBytes).toBe(0);
  }, 60_000);

  test('stop when the caller is gone, and say nothing to it', async () => {
    const rows = 100_000;
    const work = () => ({ ...placeOf(PREDICT), request: requestOf(rows), outputs: outputsOf(rows), answered });
    let said = 0;
    const handles = Array.from({ length: 4 }, () => answers.write(work(), performance.now() + 60_000, () => said++));
    await new Promise((resolve) => setTimeout(resolve, 200));
    for (const handle of handles) handle.cancel();
    expect(answers.waitingBytes).toBe(0);
    const small = { ...placeOf(INFER), request: requestOf(2), outputs: outputsOf(2), answered };
    await write(answers, small);
    expect(said).toBe(0);
  }, 60_000);
});

test('what is small is written at once', () => {
  expect(isFew(outputsOf(50))).toBe(true);
  expect(isFew(outputsOf(2000))).toBe(false);
  expect(isFew([{ name: 't', datatype: 'BYTES', shape: [1], data: ['x'.repeat(1_000_000)] }])).toBe(false);
  expect(takesLong(routeOf(INFER), requestOf(2000), outputsOf(2000))).toBe(false);
  expect(takesLong(routeOf(PREDICT), requestOf(2000), outputsOf(2000))).toBe(true);
  expect(takesLong(routeOf(INFER), requestOf(200_000), outputsOf(200_000))).toBe(true);
  const raw = requestOf(200_000, { outputs: ['p'], form: { binary: [true], classes: [0] } });
  expect(takesLong(routeOf(INFER), raw, outputsOf(200_000))).toBe(false);
});

describe('others are answered meanwhile', () => {
  let gateway: GatewayProcess;
  beforeAll(async () => {
    gateway = await serve({ versions: [add()] });
  }, 60_000);
  afterAll(() => end(gateway));

  /** The slowest of the answers that a second connection gets while `work` goes on. */
  const slowestBeside = async (work: Promise<unknown>): Promise<number> => {
    let isOver = false;
    void work.finally(() => (isOver = true)).catch(() => {});
    let slowest = 0;
    while (!isOver) {
      const startedMs = performance.now();
      await (await fetch(`${gateway.url}/v2/health/live`)).arrayBuffer();
      slowest = Math.max(slowest, performance.now() - startedMs);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return slowest;
  };

  /** By node:http, so that reading it takes this process little. */
  const infer = (rows: number, extra: object): Promise<Buffer> => {
    const data = Float32Array.from({ length: rows * 3 }, (_, i) => (i * Math.SQRT2) % 1);
    const raw = new Uint8Array(data.buffer);
    const input = { name: 'X', datatype: 'FP32', shape: [rows, 3], parameters: { binary_data_size: raw.length } };
    const head = Buffer.from(JSON.stringify({ inputs: [input], ...extra }));
    return new Promise((resolve, reject) => {
      const asked = request(`${gateway.url}/v2/models/add/infer`, {
        method: 'POST',
        headers: { 'content-length': head.length + raw.length, 'inference-header-content-length': head.length },
      });
      asked.on('error', reject).on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const whole = Buffer.concat(chunks);
          if (response.statusCode === 200) resolve(whole);
          else reject(new Error(`${response.statusCode} ${whole.toString()}`));
        });
      });
      asked.write(head);
      asked.end(raw);
    });
  };

  test('while 50 MB of JSON are written', async () => {
    const rows = 1_600_000;
    const work = infer(rows, {});
    const slowest = await slowestBeside(work);
    const whole = await work;
    expect(whole.length).toBeGreaterThan(40_000_000);
    const { outputs } = JSON.parse(whole.toString()) as { outputs: [{ shape: number[]; data: number[] }] };
    expect(outputs[0].shape).toEqual([rows, 3]);
    expect(outputs[0].data).toHaveLength(rows * 3);
    expect(slowest).toBeLessThan(500);
  }, 120_000);

  test('while half a million rows are ranked', async () => {
    const rows = 500_000;
    const work = infer(rows, { outputs: [{ name: 'Y', parameters: { classification: 2 } }] });
    const slowest = await slowestBeside(work);
    const { outputs } = JSON.parse((await work).toString()) as { outputs: [{ shape: number[]; data: string[] }] };
    expect(outputs[0].shape).toEqual([rows, 2]);
    expect(outputs[0].data[0]).toMatch(/^[\d.]+:2$/);
    expect(slowest).toBeLessThan(500);
  }, 120_000);
});
