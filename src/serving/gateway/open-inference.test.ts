/** The Open Inference Protocol's extensions through a real gateway with real models. */
import { gunzipSync, inflateSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { add, end, type GatewayProcess, identity, json, serve, tensor } from '../../../test/fixtures/gateway.ts';

let gateway: GatewayProcess;
beforeAll(async () => {
  gateway = await serve({
    versions: [
      add(),
      add({ version: 2, file: 'add-two.onnx' }),
      identity('fp16', 'FP16', 1),
      {
        model: 'strings',
        file: 'strings.onnx',
        signature: { inputs: [tensor('S', 'BYTES', -1, 1)], outputs: [tensor('Y', 'BYTES', -1, 1)] },
        sampleRequest: { records: [{ S: 'x' }] },
      },
    ],
    endpoints: [{ name: 'add', version: 1, pins: [2] }, { name: 'fp16' }, { name: 'strings' }],
  });
}, 60_000);
afterAll(() => end(gateway));

const url = (path: string): string => gateway.url + path;
const get = async (path: string): Promise<unknown> => (await fetch(url(path))).json();

async function infer(model: string, document: object, parts: Uint8Array[], headers: Record<string, string> = {}) {
  const text = Buffer.from(JSON.stringify(document));
  const response = await fetch(url(`/v2/models/${model}/infer`), {
    method: 'POST',
    headers: { 'inference-header-content-length': `${text.length}`, ...headers },
    body: new Uint8Array(Buffer.concat([text, ...parts])),
  });
  return readBinary(response);
}

async function readBinary(response: Response) {
  const bytes = Buffer.from(await response.arrayBuffer());
  const size = Number(response.headers.get('inference-header-content-length') ?? bytes.length);
  const document = JSON.parse(bytes.subarray(0, size).toString()) as {
    outputs: { name: string; shape: number[]; parameters?: { binary_data_size: number } }[];
  };
  return { response, document, rest: bytes.subarray(size) };
}

const floats = (bytes: Buffer): Float32Array => new Float32Array(new Uint8Array(bytes).buffer);
const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer);
const x = (rows: number) => ({
  name: 'X',
  datatype: 'FP32',
  shape: [rows, 3],
  parameters: { binary_data_size: rows * 12 },
});
const BINARY = { parameters: { binary_data_output: true } };

describe('binary tensors', () => {
  // Above a MiB bodies of JSON are parsed in another thread, and requests leave the socket in pieces.
  it.each([1, 7, 1000, 100_000, 500_000])('%d rows come back, each with one added', async (rows) => {
    const sent = Float32Array.from({ length: rows * 3 }, (_, at) => at % 1000);
    const { response, document, rest } = await infer('add', { inputs: [x(rows)], ...BINARY }, [bytesOf(sent)]);
    expect(response.headers.get('content-type')).toBe('application/octet-stream');
    expect(document.outputs).toEqual([
      { name: 'Y', datatype: 'FP32', shape: [rows, 3], parameters: { binary_data_size: rows * 12 } },
    ]);
    expect(floats(rest)).toEqual(sent.map((one) => one + 1));
  });

  it('text above a MiB is parsed in the other thread, and comes back', async () => {
    const texts = Array.from({ length: 20_000 }, (_, at) => `text ${at} ${'ü'.repeat(30)}`);
    const parts = texts.map((text) => {
      const bytes = Buffer.alloc(4 + Buffer.byteLength(text));
      bytes.writeUInt32LE(bytes.length - 4);
      bytes.write(text, 4);
      return bytes;
    });
    const size = parts.reduce((sum, one) => sum + one.length, 0);
    const input = { name: 'S', datatype: 'BYTES', shape: [20_000, 1], parameters: { binary_data_size: size } };
    const { rest } = await infer('strings', { inputs: [input], ...BINARY }, parts);
    expect(rest).toEqual(Buffer.concat(parts));
  });

  it('FP16 is carried as binary data', async () => {
    const input = { name: 'X', datatype: 'FP16', shape: [2, 1], parameters: { binary_data_size: 4 } };
    const { rest } = await infer('fp16', { inputs: [input], ...BINARY }, [Uint8Array.of(0, 0x3c, 0, 0x7c)]);
    expect([...rest]).toEqual([0, 0x3c, 0, 0x7c]);
  });

  it('a raw request is answered raw', async () => {
    const body = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
    const headers = { 'inference-header-content-length': '0' };
    const { document, rest } = await readBinary(
      await fetch(url('/v2/models/add/infer'), { method: 'POST', headers, body }),
    );
    expect(document.outputs[0]!.shape).toEqual([2, 3]);
    expect(floats(rest)).toEqual(Float32Array.of(2, 3, 4, 5, 6, 7));
  });

  it('many callers at once get their own', async () => {
    const all = await Promise.all(
      Array.from({ length: 64 }, async (_, k) => {
        const { rest } = await infer('add', { inputs: [x(1)], ...BINARY }, [bytesOf(Float32Array.of(k, k + 1, k + 2))]);
        return floats(rest)[0];
      }),
    );
    expect(all).toEqual(Array.from({ length: 64 }, (_, k) => k + 1));
  });
});

describe('compressed answers', () => {
  it.each([
    ['gzip', gunzipSync],
    ['deflate', inflateSync],
  ] as const)('%s where it is asked for, of JSON and of binary answers', async (coding, decode) => {
    const rows = 5000;
    const sent = new Float32Array(rows * 3).fill(1);
    for (const extra of [{}, BINARY]) {
      const text = Buffer.from(JSON.stringify({ inputs: [x(rows)], ...extra }));
      const { request } = await import('node:http');
      const got = await new Promise<{ headers: Record<string, unknown>; bytes: Buffer }>((resolve, reject) => {
        const call = request(url('/v2/models/add/infer'), {
          method: 'POST',
          headers: { 'accept-encoding': coding, 'inference-header-content-length': text.length },
        });
        call.on('error', reject);
        call.on('response', (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () => resolve({ headers: response.headers, bytes: Buffer.concat(chunks) }));
        });
        call.end(Buffer.concat([text, bytesOf(sent)]));
      });
      expect(got.headers).toMatchObject({ 'content-encoding': coding, vary: 'Accept-Encoding' });
      const size = Number(got.headers['inference-header-content-length'] ?? 0);
      const plain = decode(got.bytes);
      if (size > 0) expect(floats(Buffer.from(plain.subarray(size)))).toEqual(sent.map((one) => one + 1));
      else expect(JSON.parse(plain.toString())).toMatchObject({ outputs: [{ shape: [rows, 3] }] });
    }
  });
});

describe('reads', () => {
  it('configuration, statistics and lists', async () => {
    const before = (await get('/v2/models/add/versions/2/stats')) as { model_stats: { inference_count: number }[] };
    await fetch(
      url('/v2/models/add/versions/2/infer'),
      json({ inputs: [{ ...x(2), parameters: {}, data: [1, 2, 3, 4, 5, 6] }] }),
    );
    expect(await get('/v2/models/add/versions/2/stats')).toMatchObject({
      model_stats: [{ name: 'add', version: '2', inference_count: before.model_stats[0]!.inference_count + 2 }],
    });
    expect(await get('/v2/models/add/stats')).toMatchObject({ model_stats: [{ version: '1' }, { version: '2' }] });
    const all = (await get('/v2/models/stats')) as { model_stats: { name: string }[] };
    expect(all.model_stats.map((one) => one.name)).toEqual(['add', 'add', 'fp16', 'strings']);
    expect(await get('/v2/models/add/config')).toMatchObject({ name: 'add', input: [{ name: 'X', dims: [3] }] });
    expect(await get('/v2/models')).toEqual({ models: ['add', 'fp16', 'strings'] });
  });

  it('the index needs no key where predictions need none; changes do, and control', async () => {
    const index = await fetch(url('/v2/repository/index'), { method: 'POST' });
    expect(await index.json()).toMatchObject([
      { name: 'add', version: '1', state: 'READY' },
      { name: 'add', version: '2', state: 'READY' },
      { name: 'fp16' },
      { name: 'strings' },
    ]);
    expect((await fetch(url('/v2/repository/models/add/unload'), { method: 'POST' })).status).toBe(401);
    const headers = { authorization: 'Bearer slipway_live_x_y_00000000' };
    const wrong = await fetch(url('/v2/repository/models/add/unload'), { method: 'POST', headers });
    expect(wrong.status).toBe(401);
  });

  it.each([
    ['GET', '/v2/systemsharedmemory/status', 501],
    ['POST', '/v2/systemsharedmemory/region/r/register', 501],
    ['GET', '/v2/cudasharedmemory/region/r/status', 501],
    ['GET', '/v2/trace/setting', 501],
    ['POST', '/v2/models/add/trace/setting', 501],
    ['GET', '/v2/logging', 501],
    ['POST', '/v2/repository/other/index', 501],
    ['POST', '/v2/repository/other/models/add/load', 501],
    ['GET', '/v2/repository/index', 405],
    ['GET', '/v2/models/add/generate', 405],
    ['POST', '/v2/models/add/config', 405],
    ['GET', '/v2/systemsharedmemory', 404],
    ['POST', '/v2/models/add/train', 404],
    ['GET', '/v2/repository', 404],
  ])('%s %s is %d', async (method, path, status) => {
    const response = await fetch(url(path), { method });
    expect([response.status, await response.json()]).toEqual([status, { error: expect.any(String) }]);
  });
});

describe('generate', () => {
  it('answers text with text, at once or as events', async () => {
    const one = await fetch(url('/v2/models/strings/generate'), json({ text_input: 'héllo' }));
    expect(await one.json()).toEqual({ model_name: 'strings', model_version: '1', text_output: 'héllo' });
    const stream = await fetch(url('/v2/models/strings/generate_stream'), json({ id: 'a', text_input: 'x' }));
    expect(stream.headers.get('content-type')).toMatch(/^text\/event-stream/);
    expect(await stream.text()).toBe(
      'data: {"id":"a","model_name":"strings","model_version":"1","text_output":"x","done":true}\n\n',
    );
  });

  it('is a clear 400 of JSON for other models, also where a stream was asked for', async () => {
    for (const path of ['generate', 'generate_stream']) {
      const response = await fetch(url(`/v2/models/add/${path}`), json({ text_input: 'x' }));
      expect(response.status).toBe(400);
      expect(((await response.json()) as { error: string }).error).toMatch(/does not take one text.*infer/);
    }
  });
});
