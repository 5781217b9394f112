/** Every content type of the plain form through a real gateway, as curl would send it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { end, type GatewayProcess, serve, tensor, type VersionChoice } from '../../../test/fixtures/gateway.ts';
import { resolveDecoder } from '../../registry/input-decoder.ts';
import { sampleRequestFor } from '../../registry/sample-request.ts';
import type { Signature } from '../../registry/signature.ts';
import { readArrowStream } from '../arrow/arrow-stream.ts';
import { writeArrowStream } from '../arrow/arrow-writer.ts';

const PICTURES = join(import.meta.dirname, '../../../test/fixtures/images');
const picture = (file: string): Buffer => readFileSync(join(PICTURES, file));
const picturesOf = JSON.parse(picture('reference.json').toString()) as { file: string; elements: number[] }[];
const elementsOf = (file: string): number[] => picturesOf.find((one) => one.file === file)!.elements;
/** Mean of each of the three channels. */
const meansOf = (elements: readonly number[]): number[] =>
  [0, 1, 2].map((channel) => {
    const area = elements.length / 3;
    return elements.slice(channel * area, (channel + 1) * area).reduce((sum, value) => sum + value, 0) / area;
  });

const imageInput = tensor('image', 'FP32', -1, 3, -1, -1);
const decoder = resolveDecoder({ kind: 'image', width: 24, height: 16, layout: 'NCHW' }, imageInput);
const imageSignature: Signature = {
  inputs: [{ ...imageInput, ...('kind' in decoder ? { decoder } : {}) }],
  outputs: [tensor('mean', 'FP32', -1, 3), tensor('elements', 'FP32', -1, 3, -1, -1)],
};
const VERSIONS: readonly VersionChoice[] = [
  {
    model: 'mixed',
    file: 'mixed.onnx',
    signature: {
      inputs: [tensor('age', 'FP32', -1, 1), tensor('plan', 'BYTES', -1, 1)],
      outputs: [tensor('score', 'FP32', -1, 1)],
    },
    sampleRequest: { records: [{ age: 41, plan: 'pro' }] },
  },
  {
    model: 'add',
    file: 'add.onnx',
    signature: {
      inputs: [{ ...tensor('X', 'FP32', -1, 3), decoder: { kind: 'raw' } }],
      outputs: [tensor('Y', 'FP32', -1, 3)],
    },
    sampleRequest: { records: [{ X: [1, 2, 3] }] },
  },
  {
    model: 'image-mean',
    file: 'image-mean.onnx',
    signature: imageSignature,
    sampleRequest: sampleRequestFor(imageSignature),
  },
];

let gateway: GatewayProcess;
beforeAll(async () => {
  gateway = await serve({ versions: VERSIONS });
}, 60_000);
afterAll(() => end(gateway));

type Answer = { status: number; type: string | null; text: string };
async function send(
  model: string,
  body: string | Uint8Array,
  contentType: string,
  accept?: string,
): Promise<Answer & { json: <T>() => T }> {
  const response = await fetch(`${gateway.url}/endpoints/${model}/predict`, {
    method: 'POST',
    headers: { 'content-type': contentType, ...(accept === undefined ? {} : { accept }) },
    body: typeof body === 'string' ? body : new Uint8Array(body),
  });
  const text = await response.text();
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    text,
    json: <T>() => JSON.parse(text) as T,
  };
}
type Predictions = { predictions: Record<string, unknown>[] };

describe('CSV', () => {
  it('is answered with JSON, and with CSV where that is asked for', async () => {
    const body = 'plan,age\r\npro,41\r\n"basic",2\r\n';
    const asJson = (await send('mixed', body, 'text/csv')).json<Predictions>();
    expect(asJson.predictions.map((one) => one['score'])).toEqual([30.75, 2.25]);
    const asCsv = await send('mixed', body, 'text/csv; charset=utf-8', 'text/csv');
    expect(asCsv.type).toBe('text/csv; charset=utf-8; header=present');
    expect(asCsv.text).toMatch(/^id,score\r\n[0-9a-f-]{36}\.0,30\.75\r\n[0-9a-f-]{36}\.1,2\.25\r\n$/);
    const byPlace = await send('mixed', '41,pro\n', 'text/csv; header=absent');
    expect(byPlace.json<Predictions>().predictions[0]!['score']).toBe(30.75);
  });

  it('is told where it is wrong', async () => {
    const { status, json } = await send('mixed', 'plan,age\npro,old\n', 'text/csv');
    expect([status, json()]).toEqual([
      400,
      expect.objectContaining({
        code: 'invalid_input',
        errors: [{ pointer: '/age', message: 'at line 2, column 2 must be a number' }],
      }),
    ]);
  });

  it('of more than a MiB is read beside the loop', async () => {
    const rows = 120_000;
    const body = `X.0,X.1,X.2\n${'1,2,3.5\n'.repeat(rows - 1)}4,5,x\n`;
    const { status, json } = await send('add', body, 'text/csv');
    expect([status, json<{ pointer: string }>().pointer]).toEqual([400, '/X.2']);
    expect(json<{ detail: string }>().detail).toContain(`at line ${rows + 1}, column 3`);
  });
});

describe('NDJSON', () => {
  it('is answered line by line', async () => {
    const body = '{"age":41,"plan":"pro"}\n{"plan":"basic","age":2}\n';
    const { type, text } = await send('mixed', body, 'application/x-ndjson', 'application/x-ndjson');
    expect(type).toBe('application/x-ndjson');
    const lines = text.trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { score: number }).score)).toEqual([30.75, 2.25]);
    expect((await send('mixed', '{"age":41}\n', 'application/jsonl')).json<{ detail: string }>().detail).toBe(
      'mixed@1: /plan at line 1 is missing (BYTES [-1,1])',
    );
  });
});

describe('Arrow', () => {
  const ARROW = 'application/vnd.apache.arrow.stream';
  const rows = writeArrowStream(2, [
    { name: 'plan', datatype: 'BYTES', dims: [], data: ['pro', 'basic'] },
    { name: 'age', datatype: 'FP64', dims: [], data: Float64Array.of(41, 2) },
  ]);

  it('is answered with JSON, and with Arrow where that is asked for', async () => {
    const asJson = (await send('mixed', Buffer.concat(rows), ARROW)).json<Predictions>();
    expect(asJson.predictions.map((one) => one['score'])).toEqual([30.75, 2.25]);
    const response = await fetch(`${gateway.url}/endpoints/mixed/predict`, {
      method: 'POST',
      headers: { 'content-type': ARROW, accept: ARROW },
      body: new Uint8Array(Buffer.concat(rows)),
    });
    expect(response.headers.get('content-type')).toBe(ARROW);
    const [batch] = readArrowStream(new Uint8Array(await response.arrayBuffer()), (fields) =>
      expect(fields.map((field) => field.name)).toEqual(['id', 'score']),
    );
    expect([batch!.rows, [...(batch!.columns[1]!.values as Float32Array)]]).toEqual([2, [30.75, 2.25]]);
    expect(batch!.columns[0]!.values[1]).toBe(`${response.headers.get('x-prediction-id')}.1`);
  });

  it('of rows as lists is answered with lists', async () => {
    const body = writeArrowStream(2, [
      { name: 'X', datatype: 'FP32', dims: [3], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
    ]);
    const { json } = await send('add', Buffer.concat(body), ARROW);
    expect(json<Predictions>().predictions[1]!['Y']).toEqual([5, 6, 7]);
  });

  it('is told where it is wrong', async () => {
    const { status, json } = await send('mixed', Buffer.concat(rows).subarray(0, 100), ARROW);
    expect([status, json<{ detail: string }>().detail]).toEqual([
      400,
      'mixed@1: the body ends in the middle of a message',
    ]);
  });
});

describe('pictures', () => {
  it.each(['rgb.png', 'rgb.jpg', 'rgb.webp', 'rgb.tif', 'palette.gif', 'gray16.png'])(
    '%s goes as it is',
    async (file) => {
      const { status, json } = await send('image-mean', picture(file), `image/${file.split('.')[1]}`);
      expect(status).toBe(200);
      const [prediction] = json<{ predictions: { mean: number[]; elements: number[][][] }[] }>().predictions;
      expect(prediction!.elements.flat(3)).toEqual(elementsOf(file));
      for (const [channel, mean] of meansOf(elementsOf(file)).entries()) {
        expect(prediction!.mean[channel]).toBeCloseTo(mean, 3);
      }
    },
  );

  it('several of them go as a form or as records, each with its own answer', async () => {
    const form = new FormData();
    for (const file of ['rgb.png', 'gray.png']) form.append('image', new Blob([new Uint8Array(picture(file))]), file);
    const asForm = await fetch(`${gateway.url}/endpoints/image-mean/predict`, { method: 'POST', body: form });
    const b64 = (file: string) => ({ image: { b64: picture(file).toString('base64') } });
    const asRecords = await send(
      'image-mean',
      JSON.stringify({ records: [b64('rgb.png'), b64('gray.png')] }),
      'application/json',
    );
    const asInputs = await send(
      'image-mean',
      JSON.stringify({ inputs: { image: [b64('rgb.png').image, b64('gray.png').image] } }),
      'application/json',
    );
    const asLines = await send(
      'image-mean',
      [b64('rgb.png'), b64('gray.png')].map((one) => JSON.stringify(one)).join('\n'),
      'application/x-ndjson',
    );
    for (const { predictions } of [
      (await asForm.json()) as Predictions,
      asRecords.json<Predictions>(),
      asInputs.json<Predictions>(),
      asLines.json<Predictions>(),
    ]) {
      expect(predictions.map((one) => (one['mean'] as number[])[0])).toEqual(
        ['rgb.png', 'gray.png'].map((file) => expect.closeTo(meansOf(elementsOf(file))[0]!, 3)),
      );
    }
  });

  it('tensors are still taken as they are', async () => {
    const image = [[[1, 2]], [[3, 4]], [[5, 6]]];
    const { json } = await send('image-mean', JSON.stringify({ records: [{ image }] }), 'application/json');
    expect(json<Predictions>().predictions[0]!['mean']).toEqual([1.5, 3.5, 5.5]);
  });

  it('bad ones are told, each with its place', async () => {
    const good = { image: { b64: picture('rgb.png').toString('base64') } };
    const records = [good, { image: { b64: '!' } }, { image: { b64: 'aGVsbG8=' } }, { image: [1] }];
    const first = await send('image-mean', JSON.stringify({ records }), 'application/json');
    expect([first.status, first.json<{ errors: unknown }>().errors]).toEqual([
      400,
      [
        { pointer: '/records/1/image', message: 'is not base64' },
        { pointer: '/records/3/image', message: 'must be {"b64": "…"} like the others, not an array' },
      ],
    ]);
    const second = await send('image-mean', JSON.stringify({ records: [good, records[2]] }), 'application/json');
    expect([second.status, second.json<{ pointer: string }>().pointer]).toEqual([400, '/records/1/image']);
    const third = await send('image-mean', picture('flower.jpg').subarray(0, 3000), 'image/jpeg');
    expect([third.status, third.json<{ detail: string }>().detail]).toEqual([
      400,
      'image-mean@1: the body is a damaged picture, or of a kind that is not taken',
    ]);
    expect((await send('image-mean', '<svg/>', 'image/svg+xml')).status).toBe(400);
  });

  it('of more than a MiB of base64 come through the thread for large bodies', async () => {
    const picked = Array.from({ length: 80 }, (_, at) => (at % 2 === 0 ? 'flower.jpg' : 'rgb.png'));
    const records = picked.map((file) => ({ image: { b64: picture(file).toString('base64') }, note: undefined }));
    const padded = `${JSON.stringify({ records })}${' '.repeat(600_000)}`;
    expect(padded.length).toBeGreaterThan(1024 * 1024);
    const { status, json } = await send('image-mean', padded, 'application/json');
    expect(status).toBe(200);
    const { predictions } = json<{ predictions: { mean: number[] }[] }>();
    expect(predictions).toHaveLength(80);
    expect(predictions[1]!.mean[0]).toBeCloseTo(meansOf(elementsOf('rgb.png'))[0]!, 3);
    expect(predictions[78]!.mean).toEqual(predictions[0]!.mean);
  });

  it('too many of them are refused before they are decoded', async () => {
    const one = { image: { b64: picture('gray.png').toString('base64') } };
    const { status, json } = await send(
      'image-mean',
      JSON.stringify({ records: new Array(15_000).fill(one) }),
      'application/json',
    );
    expect([status, json<{ detail: string }>().detail]).toEqual([
      400,
      'image-mean@1: /records/0/image is one of 15000 pictures; at most 14563 are taken at once',
    ]);
  });

  it('whose deadline passes are given up', async () => {
    const form = new FormData();
    const photo = new Blob([new Uint8Array(picture('flower.jpg'))]);
    for (let at = 0; at < 900; at++) form.append('image', photo, 'a.jpg');
    const startedMs = performance.now();
    const response = await fetch(`${gateway.url}/endpoints/image-mean/predict`, {
      method: 'POST',
      headers: { 'x-request-timeout-ms': '150' },
      body: form,
    });
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([504, 'deadline_exceeded']);
    expect(performance.now() - startedMs).toBeLessThan(2000);
  });

  it('are decoded beside the loop: others are answered meanwhile', async () => {
    const big = picture('flower.jpg');
    const decoding = Promise.all(Array.from({ length: 40 }, () => send('image-mean', big, 'image/jpeg')));
    const waits: number[] = [];
    let done = false;
    void decoding.then(() => {
      done = true;
    });
    while (!done) {
      const startedMs = performance.now();
      expect((await send('mixed', '41,pro\n', 'text/csv;header=absent')).status).toBe(200);
      waits.push(performance.now() - startedMs);
    }
    expect((await decoding).every((one) => one.status === 200)).toBe(true);
    expect(waits.sort((a, b) => a - b)[Math.floor(waits.length / 2)]).toBeLessThan(500);
  });

  it('the description shows how to send one', async () => {
    const description = (await (await fetch(`${gateway.url}/endpoints/image-mean`)).json()) as {
      inputs: { decoder: unknown }[];
      example: { curl: string; request: unknown };
    };
    expect(description.inputs[0]!.decoder).toEqual(decoder);
    expect(description.example.curl).toMatch(
      /image-mean\/predict -H "Content-Type: image\/jpeg" --data-binary @photo\.jpg$/,
    );
    const again = await send('image-mean', JSON.stringify(description.example.request), 'application/json');
    expect(again.status).toBe(200);
  });
});

describe('raw bytes', () => {
  it('are the elements of the input', async () => {
    const body = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
    const { json } = await send('add', body, 'application/octet-stream');
    expect(json<Predictions>().predictions.map((one) => one['Y'])).toEqual([
      [2, 3, 4],
      [5, 6, 7],
    ]);
    expect((await send('add', body.subarray(1), 'application/octet-stream')).status).toBe(400);
    const large = await send('add', new Uint8Array(12 * 100_000), 'application/octet-stream');
    expect([large.status, large.json<Predictions>().predictions.length]).toEqual([200, 100_000]);
  });
});

describe('other types', () => {
  it.each([
    ['mixed', 'application/xml', /Supported here: application\/json, text\/csv/],
    ['mixed', 'image/png', /declare signature\.inputs/],
    ['mixed', 'application/octet-stream', /declare signature\.inputs/],
    ['mixed', 'multipart/form-data; boundary=x', /declare signature\.inputs/],
    ['mixed', ';;;', /Supported here/],
  ])('%s does not take %s: 415, with what is supported', async (model, type, hint) => {
    const { status, json } = await send(model, 'x', type);
    expect([status, json()]).toEqual([
      415,
      expect.objectContaining({ code: 'unsupported_media', hint: expect.stringMatching(hint) }),
    ]);
  });
});
