/**
 * curl, as the documentation of TorchServe, Seldon Core and Azure ML has it, against the whole server with models of tables, pictures and text. Optional: `npm run test:clients`.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunningServer } from '../scenarios/running-server.ts';
import { isPhoto, PICTURE, startServing, TABULAR } from './serving-models.ts';

const run = promisify(execFile);
let server: RunningServer;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-clients-'));
  server = await startServing(['torchserve', 'seldon', 'azure-ml']);
}, 120_000);
afterAll(async () => {
  await server?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** One request by curl: status, headers and body. */
async function curl(...words: string[]): Promise<{ status: number; headers: Headers; body: unknown; text: string }> {
  const { stdout: all } = await run('curl', ['-sS', '-i', '--max-time', '20', ...words]);
  // -T asks first whether its file is wanted
  const stdout = all.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '');
  const cut = stdout.indexOf('\r\n\r\n');
  const [first = '', ...lines] = stdout.slice(0, cut).split('\r\n');
  const headers = new Headers(lines.map((line) => line.split(/:\s*/, 2) as [string, string]));
  const text = stdout.slice(cut + 4);
  const isJson = headers.get('content-type')?.includes('json') === true;
  return { status: Number(first.split(' ')[1]), headers, body: isJson ? JSON.parse(text) : null, text };
}
const JSON_TYPE = ['-H', 'Content-Type: application/json'];
const golden = (): { rows: number[][]; labels: number[]; probabilities: number[][] } => {
  const { inputs, outputs } = JSON.parse(readFileSync(join(TABULAR, 'random-forest.json'), 'utf8')) as {
    inputs: { X: number[][] };
    outputs: { label: number[]; probabilities: number[][] };
  };
  return { rows: inputs.X, labels: outputs.label, probabilities: outputs.probabilities };
};
const inSingle = (rows: number[][]): number[][] => rows.map((row) => row.map((value) => Number(value.toFixed(4))));

describe('curl, as TorchServe’s documentation has it', () => {
  const url = (path: string): string => server.protocolUrls['torchserve']! + path;
  const bodyOf = async (...words: string[]): Promise<unknown> => (await curl(...words)).body;

  test('asks for health and for the API', async () => {
    expect(await bodyOf(url('/ping'))).toEqual({ status: 'Healthy' });
    expect(await bodyOf('-X', 'OPTIONS', url('/'))).toMatchObject({ openapi: '3.0.1' });
    expect(await bodyOf(url('/api-description'))).toMatchObject({ openapi: '3.0.1' });
  });

  test('sends pictures with -T, -F and --data-binary, all answered alike', async () => {
    const seen = [
      await bodyOf(url('/predictions/photo'), '-T', PICTURE),
      await bodyOf(url('/predictions/photo'), '-F', `data=@${PICTURE}`),
      await bodyOf(
        '-X',
        'POST',
        url('/predictions/photo/1.0'),
        '-H',
        'Content-Type: image/jpeg',
        '--data-binary',
        `@${PICTURE}`,
      ),
    ] as { mean: number[] }[];
    for (const one of seen) expect(one.mean).toEqual(seen[0]!.mean);
    isPhoto(seen[0]!.mean);
  });

  test('sends text and rows', async () => {
    const file = join(folder, 'sample_text.txt');
    writeFileSync(file, 'Bloomberg has decided');
    expect(await bodyOf(url('/predictions/text'), '-T', file)).toBe('Bloomberg has decided');
    const { rows, labels } = golden();
    const answer = await bodyOf(url('/predictions/forest'), ...JSON_TYPE, '-d', JSON.stringify(rows));
    expect((answer as { label: number }[]).map(({ label }) => label)).toEqual(labels);
    const row = JSON.stringify(rows[0]);
    expect(await bodyOf(url('/predictions/forest'), '-d', row)).toMatchObject({ label: labels[0] });
  });

  test('reads errors', async () => {
    expect(await bodyOf(url('/predictions/InvalidModel'), '-T', PICTURE)).toMatchObject({
      code: 404,
      type: 'ModelNotFoundException',
      message: 'Model not found: InvalidModel',
    });
    expect(await bodyOf(url('/predictions/photo'), '-d', '[1]')).toMatchObject({
      code: 400,
      type: 'BadRequestException',
    });
    expect(await bodyOf('-X', 'DELETE', url('/predictions/photo'))).toMatchObject({
      code: 405,
      type: 'MethodNotAllowedException',
    });
  });
});

describe('curl, as Seldon’s documentation has it', () => {
  const deployment = (name: string, rest = 'predictions'): string =>
    `${server.protocolUrls['seldon']!}/seldon/default/${name}/api/v1.0/${rest}`;
  type Message = {
    data: { names: string[]; ndarray: number[][]; tensor: { shape: number[]; values: number[] } };
    strData: string;
    meta: { puid: string; tags: Record<string, unknown>; requestPath: unknown };
    status: { reason: string; info: string };
  };

  test('sends arrays and tensors, answered as scikit-learn answers', async () => {
    const { rows, labels, probabilities } = golden();
    const { body } = await curl(deployment('forest'), ...JSON_TYPE, '-d', JSON.stringify({ data: { ndarray: rows } }));
    const { data, meta } = body as Message;
    expect(inSingle(data.ndarray)).toEqual(inSingle(probabilities));
    expect(meta).toMatchObject({ tags: { label: labels }, requestPath: { forest: 'slipway:1' } });
    const tensor = JSON.stringify({ data: { tensor: { shape: [rows.length, 8], values: rows.flat() } } });
    const root = `${server.protocolUrls['seldon']!}/api/v1.0/predictions`;
    const answer = (await curl(root, ...JSON_TYPE, '-d', tensor)).body as Message;
    expect(inSingle([answer.data.tensor.values])).toEqual(inSingle([probabilities.flat()]));
  });

  test('sends text and pictures', async () => {
    const text = await curl(deployment('text'), ...JSON_TYPE, '-d', '{"strData":"ünï ✓"}');
    expect((text.body as Message).strData).toBe('ünï ✓');
    const seen = [
      await curl(deployment('photo'), '-F', `binData=@${PICTURE}`, '-F', 'meta={"puid":"mine"}'),
      await curl(
        deployment('photo'),
        ...JSON_TYPE,
        '-d',
        JSON.stringify({ binData: readFileSync(PICTURE).toString('base64'), meta: { puid: 'mine' } }),
      ),
    ];
    for (const { body, headers } of seen) {
      isPhoto((body as Message).data.ndarray[0]);
      expect(headers.get('seldon-puid')).toBe('mine');
    }
  });

  test('gives feedback, asks for metadata and health, and reads errors', async () => {
    const { rows } = golden();
    const asked = await curl(deployment('forest'), ...JSON_TYPE, '-d', JSON.stringify({ data: { ndarray: rows } }));
    const { puid } = (asked.body as Message).meta;
    const feedback = { response: { meta: { puid } }, reward: 1 };
    const key = ['-H', `Authorization: Bearer ${server.adminKey}`];
    expect(
      await curl(deployment('forest', 'feedback'), ...key, ...JSON_TYPE, '-d', JSON.stringify(feedback)),
    ).toMatchObject({ status: 200 });
    expect(await curl(deployment('forest', 'metadata'))).toMatchObject({ status: 200, body: { name: 'forest' } });
    expect(await curl(`${server.protocolUrls['seldon']!}/live`)).toMatchObject({ status: 200, text: 'live' });
    const ragged = await curl(deployment('forest'), ...JSON_TYPE, '-d', '{"data":{"ndarray":[[1],[1,2]]}}');
    expect(ragged).toMatchObject({ status: 400, body: { status: { reason: 'MICROSERVICE_BAD_DATA' } } });
    expect((await curl(deployment('nothing'), ...JSON_TYPE, '-d', '{"strData":"x"}')).status).toBe(404);
    expect((await curl(deployment('forest', 'doc/'))).status).toBe(501);
  });
});

describe('curl, as Azure ML’s documentation has it', () => {
  const url = (path: string): string => server.protocolUrls['azure-ml']! + path;
  const key = (): string[] => ['-H', `Authorization: Bearer ${server.adminKey}`];

  test('scores rows, frames, text and pictures with a key', async () => {
    const { rows, labels } = golden();
    const labelsOf = (body: unknown): number[] => (body as { label: number }[]).map(({ label }) => label);
    const data = await curl(url('/score'), ...key(), ...JSON_TYPE, '-d', JSON.stringify({ data: rows }));
    expect(labelsOf(data.body)).toEqual(labels);
    expect(data.headers.get('x-ms-run-function-failed')).toBe('False');
    const frame = { input_data: { columns: rows[0]!.map((_, at) => at), index: rows.map((_, at) => at), data: rows } };
    const framed = await curl(url('/aml/forest/score'), ...key(), ...JSON_TYPE, '-d', JSON.stringify(frame));
    expect(labelsOf(framed.body)).toEqual(labels);
    const text = await curl(url('/aml/text/score'), ...key(), ...JSON_TYPE, '-d', '{"data":["ünï ✓"]}');
    expect(text.body).toEqual([['ünï ✓']]);
    const photo = ['-H', 'Content-Type: image/jpeg', '--data-binary', `@${PICTURE}`];
    const pictured = await curl(url('/aml/photo/score'), ...key(), ...photo);
    isPhoto((pictured.body as { mean: number[] }[])[0]!.mean);
  });

  test('names a deployment, reads health, the API and errors', async () => {
    const rows = ['-d', JSON.stringify({ data: golden().rows })];
    const pinned = await curl(url('/score'), ...JSON_TYPE, '-H', 'azureml-model-deployment: 1', ...rows);
    expect([pinned.status, pinned.headers.get('azureml-model-deployment')]).toEqual([200, '1']);
    expect((await curl(url('/score'), ...JSON_TYPE, '-H', 'azureml-model-deployment: blue', ...rows)).status).toBe(404);
    expect(await curl(url('/'))).toMatchObject({ status: 200, text: 'Healthy' });
    expect(await curl(url('/aml/photo/swagger.json?version=3'))).toMatchObject({ body: { openapi: '3.0.0' } });
    expect(await curl(url('/score'), ...JSON_TYPE, '-d', '{"data":[[1],[1,2]]}')).toMatchObject({
      status: 400,
      body: { message: expect.stringContaining('/data/0') },
    });
    expect(await curl(url('/score'), ...JSON_TYPE, '-H', `x-request-id: ${'A'.repeat(101)}`, ...rows)).toMatchObject({
      status: 431,
      body: { message: 'x-request-id must not exceed 100 characters' },
    });
    const wrong = await curl(url('/score'), ...JSON_TYPE, '-H', 'Authorization: Bearer wrong', ...rows);
    expect(wrong.status).toBe(401);
  });
});
