/** Whatever a client sends to a prediction of any protocol: it is answered, never as a fault of ours, and the gateway stays as it is. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { add, end, type GatewayProcess, serve, tensor } from '../../../test/fixtures/gateway.ts';
import { PROTOCOLS } from '../protocols/protocols.ts';

const MODELS = ['add', 'mixed', 'strings', 'photo', 'embed'];

let gateway: GatewayProcess;
beforeAll(async () => {
  gateway = await serve(
    {
      versions: [
        add(),
        {
          file: 'mixed.onnx',
          signature: {
            inputs: [tensor('age', 'FP32', -1, 1), tensor('plan', 'BYTES', -1, 1)],
            outputs: [tensor('score', 'FP32', -1, 1)],
          },
          sampleRequest: { records: [{ age: 41, plan: 'pro' }] },
        },
        {
          file: 'strings.onnx',
          signature: { inputs: [tensor('S', 'BYTES', -1, 1)], outputs: [tensor('Y', 'BYTES', -1, 1)] },
          sampleRequest: { records: [{ S: 'x' }] },
        },
        {
          model: 'photo',
          file: 'image-mean.onnx',
          signature: {
            inputs: [
              {
                ...tensor('image', 'FP32', -1, 3, 2, 2),
                decoder: {
                  kind: 'image',
                  width: 2,
                  height: 2,
                  channels: 3,
                  layout: 'NCHW',
                  color: 'rgb',
                  resize: 'stretch',
                  filter: 'linear',
                  scale: 1,
                  mean: [0, 0, 0],
                  std: [1, 1, 1],
                },
              },
            ],
            outputs: [tensor('mean', 'FP32', -1, 3), tensor('elements', 'FP32', -1, 3, 2, 2)],
          },
          sampleRequest: {
            inputs: {
              image: [
                [
                  [
                    [0, 0],
                    [0, 0],
                  ],
                  [
                    [0, 0],
                    [0, 0],
                  ],
                  [
                    [0, 0],
                    [0, 0],
                  ],
                ],
              ],
            },
          },
        },
        {
          model: 'embed',
          file: 'masked-mean.onnx',
          signature: {
            inputs: [tensor('tokens', 'INT64', -1, -1), tensor('mask', 'INT64', -1, -1)],
            outputs: [tensor('mean', 'FP32', -1), tensor('found', 'FP32', -1, -1)],
          },
          sampleRequest: { inputs: { tokens: [[1, 3]], mask: [[1, 1]] } },
        },
      ],
      endpoints: MODELS.map((name) => ({ name, labels: { x: 1 } })),
    },
    {
      env: {
        SLIPWAY_DEFAULT_ENDPOINT: 'add',
        SLIPWAY_MAX_BODY: '1MiB',
      },
    },
  );
}, 60_000);
afterAll(() => end(gateway));

const part = (name: string, text: string): string =>
  `--b\r\nContent-Disposition: form-data; name="${name}"; filename="f"\r\n\r\n${text}\r\n`;
/** Keys under which some protocol looks for rows. */
const KEYS = [
  'instances',
  'inputs',
  'records',
  'data',
  'input_data',
  'Inputs',
  'dataframe_split',
  'dataframe_records',
  'jsonData',
  'input',
];
const VALUES = [
  'null',
  '5',
  '""',
  '[]',
  '{}',
  '[[]]',
  '[null]',
  '[[1,2,3],[4,5]]',
  '[[1,2,"x"]]',
  '[[[1,2,3]]]',
  '[[1e400,2,3]]',
  '[[NaN,Infinity,-Infinity]]',
  '[{"b64":"%%"}]',
  '[{"b64":"aGk="}]',
  '[{"b64":5,"c":1}]',
  '{"b64":"aGk="}',
  '[{"X":[1,2,3],"Y":1}]',
  '[{"age":null,"plan":[["a"]]}]',
  '{"columns":["X.0","X.0"],"data":[[1,2]]}',
  '{"columns":null,"index":{},"data":5}',
  '{"ndarray":[[1],[1,2]]}',
  '{"tensor":{"shape":[99999999999,3],"values":[1]}}',
  '{"tensor":{"shape":[-1],"values":[1]}}',
  '[{"name":"X","datatype":"FP32","shape":[99999999999,3],"data":[1]}]',
  `${'['.repeat(300)}1${']'.repeat(300)}`,
  '{"__proto__":{"a":1}}',
  '{"constructor":[1,2,3]}',
];
const BODIES: readonly string[] = KEYS.flatMap((key) => VALUES.map((value) => `{"${key}":${value}}`));
/** Those that are sent under other types too. */
const ODD_BODIES: readonly string[] = [
  '',
  '{',
  'null',
  '5',
  '"x"',
  '[[1,2,3]]',
  '[[1,2],[3]]',
  '{"a":1,"a":2}',
  '{"instances":[[1,2,3]],"inputs":[[1,2,3]]}',
  '{"model":"embed","input":[[-1]]}',
  '{"model":"embed","input":[[9999999]]}',
  '{"model":"embed@x","input":[1]}',
  '{"model":"../../etc","input":[1]}',
  '{"model":["add"],"input":[1]}',
  '{"strData":5}',
  '{"binData":"%%"}',
  '{"meta":5,"strData":"x"}',
  '{"meta":{"puid":"\\u0000"},"strData":"x"}',
  '\u0000\u0001\u00ff',
  '1,2,3\n4,5\n',
  '"1,2,3\n',
  'X.0,X.1,X.2\n1,2,"3\n',
  ',,,\n,,\n',
  '{"features":[1,2,3]}\n{"features":',
  `${part('data', '{')}--b--\r\n`,
  `${part('X', '[1,2')}${part('X', '5')}--b--\r\n`,
  part('data', 'never closed'),
];
const TYPES = [
  'application/json',
  'application/json; charset=utf-16',
  'application/json; charset="',
  'text/csv',
  'text/csv; header=maybe',
  'text/csv; label_size=x',
  'application/jsonlines',
  'application/x-ndjson',
  'application/octet-stream',
  'application/vnd.apache.arrow.stream',
  'application/vnd.sagemaker-triton.binary+json;json-header-size=99',
  'application/vnd.vertex-ai-triton.binary+json;json-header-size=-1',
  'application/cloudevents+json',
  'application/cloudevents-batch+json',
  'application/x-recordio-protobuf',
  'multipart/form-data; boundary=b',
  'multipart/form-data',
  'image/jpeg',
  'text/plain',
  ';;;=',
  '',
];
/** Headers that some protocol reads. */
const HEADERS: readonly Readonly<Record<string, string>>[] = [
  { 'inference-header-content-length': '-5' },
  { 'inference-header-content-length': '99999999999999999999' },
  { 'ce-specversion': '9', 'ce-id': 'a', 'ce-source': 'b', 'ce-type': 'c' },
  { 'ce-id': 'a' },
  { 'x-amzn-sagemaker-target-model': '../../x.tar.gz' },
  { 'x-amzn-sagemaker-target-variant': '%%' },
  { 'x-amzn-sagemaker-custom-attributes': 'x'.repeat(2000) },
  { 'x-amzn-sagemaker-enable-explanations': '`true`' },
  { 'x-amzn-sagemaker-accept': 'application/x-npy' },
  { 'x-vertex-ai-triton-redirect': '../v2/repository/index' },
  { 'x-vertex-ai-triton-redirect': 'v2/models/%00/infer' },
  { 'azureml-model-deployment': '9'.repeat(50) },
  { 'x-request-id': 'A'.repeat(101) },
  { 'x-request-id': 'A'.repeat(2000) },
  { 'x-ms-client-request-id': 'A'.repeat(101) },
  { 'seldon-model': 'a.b.c' },
  { 'seldon-model': '\u00ff' },
  { accept: 'text/csv;q=x, */*;q=-1' },
  { accept: ','.repeat(500) },
  { 'accept-encoding': 'gzip;q=9, br' },
  { 'x-request-timeout-ms': '-1' },
  { 'x-slipway-priority': 'most' },
  { 'x-slipway-unit': 'u'.repeat(5000) },
  { authorization: 'AWS4-HMAC-SHA256 Credential=x' },
  {
    authorization:
      'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/sagemaker/aws4_request, SignedHeaders=host;x-amz-date, Signature=00',
    'x-amz-date': '20130524T000000Z',
  },
  { authorization: 'AWS4-HMAC-SHA256 Credential=, SignedHeaders=, Signature=', 'x-amz-date': '99999999T999999Z' },
  { authorization: 'Basic Og==' },
  { 'content-encoding': 'gzip' },
  { 'content-encoding': 'gzip, gzip' },
  { te: 'trailers', 'x-http-method-override': 'DELETE' },
];

/** Where each protocol predicts: its first path for every model, the others for one. */
const PATHS = PROTOCOLS.flatMap(({ name, routes }) =>
  routes
    .filter((route) => route.kind === 'infer')
    .map(({ path }, at): [string, string, string[]] => [
      name,
      path,
      (at === 0 ? MODELS : MODELS.slice(0, 1)).map((model) =>
        path
          .replace('{endpoint}', model)
          .replace('{project}', 'default')
          .replace('{version}', '1')
          .replace(/\{\w+\}/g, 'x'),
      ),
    ]),
);

async function statusOf(path: string, body: string, headers: Readonly<Record<string, string>>): Promise<number> {
  const sent = Object.entries(headers).filter(([name, value]) => !(name === 'content-type' && value === ''));
  const response = await fetch(gateway.url + path, {
    method: 'POST',
    headers: sent,
    body: Buffer.from(body, 'latin1'),
  });
  await response.arrayBuffer();
  return response.status;
}
/** Parts that are not offered are 501; all else is a client's mistake, or was no mistake. */
const isClients = (status: number): boolean => status < 500 || status === 501;

describe.each(PATHS)('%s: %s', (_protocol, _path, paths) => {
  test('no body of any type is a fault of ours', async () => {
    const odd: unknown[] = [];
    const send = async (path: string, body: string, type: string): Promise<void> => {
      const status = await statusOf(path, body, { 'content-type': type });
      if (!isClients(status)) odd.push([path, type, body, status]);
    };
    for (const path of paths) {
      await Promise.all(ODD_BODIES.map((body) => send(path, body, 'application/json')));
      // Other paths of a protocol have the same reader.
      if (paths.length === 1) continue;
      await Promise.all(BODIES.map((body) => send(path, body, 'application/json')));
      if (/mixed|strings/.test(path)) continue;
      for (const type of TYPES) await Promise.all(ODD_BODIES.map((body) => send(path, body, type)));
    }
    expect(odd).toEqual([]);
  }, 60_000);

  test('nor is any header', async () => {
    const odd: unknown[] = [];
    const [path] = paths as [string];
    const json = { 'content-type': 'application/json' };
    for (const headers of HEADERS) {
      const status = await statusOf(path, '{"instances":[[1,2,3]]}', { ...json, ...headers });
      if (!isClients(status)) odd.push([path, headers, status]);
    }
    expect(await statusOf(path, ' '.repeat(2 * 1024 * 1024), json)).toBe(413);
    expect(odd).toEqual([]);
  }, 60_000);
});

test('the gateway is as ready after all of them as before', async () => {
  expect((await fetch(`${gateway.url}/v2/health/ready`)).status).toBe(200);
  expect(gateway.child.exitCode).toBe(null);
  expect(gateway.log()).not.toContain('"level":"error"');
});
