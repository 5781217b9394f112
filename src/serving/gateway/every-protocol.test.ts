/** What holds whatever protocol a caller speaks: ids, versions, keys, quotas, deadlines, bounds, traffic, metrics. A protocol is one row of the table. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { add, end, type GatewayProcess, playControl, serve, tensor } from '../../../test/fixtures/gateway.ts';
import { trafficOf, versionFor } from '../../../test/fixtures/traffic-split.ts';
import { hashSecret, makeKey } from '../../base/access/key.ts';
import { NO_LIMITS } from '../../base/access/key-limits.ts';
import type { DesiredKey } from '../endpoints/desired-state.ts';
import { PROTOCOLS } from '../protocols/protocols.ts';

type Rows = readonly (readonly number[])[];
type Row = {
  readonly path: (model: string) => string;
  /** A request for rows of three floats. */
  readonly body: (rows: Rows, model: string) => unknown;
  /** The message of a refusal. */
  readonly message: (body: Record<string, never>) => unknown;
  /** The model that it asks, where that is not `add`. */
  readonly model?: 'embed';
  /** Where it says a refusal by another status than HTTP has for it; `ragged` is that of inputs that do not fit. */
  readonly statuses?: Readonly<Record<number | 'ragged', number>>;
  /** Rows of its largest request. */
  readonly most?: Rows;
};

const rows = (count: number): number[][] => Array.from({ length: count }, (_, at) => [at, 2, 3]);
const RAGGED = [
  [1, 2, 3],
  [4, 5],
];
const error = (body: Record<string, never>): unknown => body['error'];
const message = (body: Record<string, never>): unknown => body['message'];
const nested = (...keys: string[]) => {
  return (body: Record<string, never>): unknown =>
    keys.reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], body);
};
const instances = (some: Rows): unknown => ({ instances: some });

const ROWS: Readonly<Record<string, Row>> = {
  'open-inference': {
    path: (model) => `/v2/models/${model}/infer`,
    body: (some) => ({ inputs: [{ name: 'X', datatype: 'FP32', shape: [some.length, 3], data: some.flat() }] }),
    message: error,
  },
  plain: {
    path: (model) => `/endpoints/${model}/predict`,
    body: (some) => ({ inputs: { X: some } }),
    message: nested('detail'),
  },
  'tensorflow-serving': { path: (model) => `/v1/models/${model}:predict`, body: instances, message: error },
  'kserve-v1': { path: (model) => `/v1/models/${model}:predict`, body: instances, message: error },
  torchserve: { path: (model) => `/predictions/${model}`, body: (some) => some, message },
  mlflow: { path: (model) => `/m/${model}/invocations`, body: instances, message },
  sagemaker: {
    path: (model) => `/endpoints/${model}/invocations`,
    body: instances,
    message,
    // What the container says comes inside a ModelError, and keys are IAM's affair.
    statuses: { 401: 403, 404: 400, 415: 424, 504: 424, ragged: 424 },
  },
  vertex: {
    path: (model) => `/v1/projects/default/locations/x/endpoints/${model}:predict`,
    body: instances,
    message: nested('error', 'message'),
  },
  'azure-ml': { path: (model) => `/aml/${model}/score`, body: (some) => ({ data: some }), message },
  seldon: {
    path: (model) => `/seldon/default/${model}/api/v1.0/predictions`,
    body: (some) => ({ data: { ndarray: some } }),
    message: nested('status', 'info'),
  },
  openai: {
    path: () => '/v1/embeddings',
    body: (some, model) => ({
      model,
      input: some === RAGGED ? [[1], ['x']] : some.map((row) => row.map((id) => id % 4)),
    }),
    message: nested('error', 'message'),
    model: 'embed',
    most: Array.from({ length: 2048 }, () => Array.from({ length: 200 }, (_, at) => at)),
  },
};
const NAMES = Object.keys(ROWS);

test('every protocol that predicts has its row', () => {
  const predicting = PROTOCOLS.filter(({ routes }) => routes.some(({ kind }) => kind === 'infer'));
  expect([...NAMES].sort()).toEqual(predicting.map(({ name }) => name).sort());
});

const keyOf = (limits: DesiredKey['limits']): { text: string; desired: DesiredKey } => {
  const { text, id, secret } = makeKey();
  const key = { id, project: null, secretSha256: hashSecret(secret), scopes: ['predict'], expiresAt: null };
  return { text, desired: { ...key, ...(limits === undefined ? {} : { limits }) } };
};
const free = keyOf(undefined);
const limited = NAMES.map(() => keyOf({ ...NO_LIMITS, rate: 0.001, burst: 1 }));

const embed = (version: number) => ({
  model: 'embed',
  version,
  file: 'masked-mean.onnx',
  signature: {
    inputs: [tensor('tokens', 'INT64', -1, -1), tensor('mask', 'INT64', -1, -1)],
    outputs: [tensor('mean', 'FP32', -1), tensor('found', 'FP32', -1, -1)],
  },
  sampleRequest: { inputs: { tokens: [[1, 3]], mask: [[1, 1]] } },
});
/** Endpoints of a model: with a pinned version, one that only one test asks, and one whose traffic is in halves. */
const endpointsOf = (model: string) => [
  { name: model, model, version: 1, pins: [2] },
  { name: `counted-${model}`, model },
  { name: `halves-${model}`, model, traffic: trafficOf() },
];

let gateway: GatewayProcess;
let control: Awaited<ReturnType<typeof playControl>>;
beforeAll(async () => {
  gateway = await serve(
    {
      versions: [add(), add({ version: 2, file: 'add-two.onnx' }), embed(1), embed(2)],
      endpoints: [...endpointsOf('add'), ...endpointsOf('embed')],
      keys: [free.desired, ...limited.map(({ desired }) => desired)],
    },
    {
      env: {
        SLIPWAY_INFERENCE_AUTH: 'required',
        SLIPWAY_MAX_BODY: '4MiB',
        SLIPWAY_PROTOCOL_PORTS: NAMES.map((name) => `${name}=0`).join(','),
      },
    },
  );
  control = await playControl(gateway.dataDir);
}, 60_000);
afterAll(async () => {
  await control?.close();
  await end(gateway);
});

type Answer = { status: number; headers: Headers; text: string; said: unknown };
/** A header that is empty is left out. */
type Asked = { some?: Rows; headers?: Record<string, string>; model?: string; padding?: string };
/** @param asked.model a part of the endpoint's name, where `{}` stands for the protocol's own model */
async function ask(name: string, asked: Asked = {}): Promise<Answer> {
  const { some = rows(1), headers = {}, padding = '' } = asked;
  const row = ROWS[name]!;
  const model = (asked.model ?? '{}').replace('{}', row.model ?? 'add');
  const response = await fetch(gateway.protocolUrls[name]! + row.path(model), {
    method: 'POST',
    headers: Object.entries({
      'content-type': 'application/json',
      authorization: `Bearer ${free.text}`,
      ...headers,
    }).filter(([, value]) => value !== ''),
    body: JSON.stringify(row.body(some, model)) + padding,
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, said: messageIn(text, row) };
}

/** MLflow says some errors in bare text. */
function messageIn(text: string, row: Row): unknown {
  try {
    return row.message(JSON.parse(text) as Record<string, never>);
  } catch {
    return text;
  }
}

describe.each(NAMES)('%s on its own port', (name) => {
  const { statuses = { ragged: 400 }, most = rows(100_000) } = ROWS[name]!;
  const is = (status: number): number => statuses[status] ?? status;
  const expectRefusal = ({ status, said }: Answer, wanted: number): void => {
    expect([status, said]).toEqual([is(wanted), expect.stringMatching(/\w{3}/)]);
  };

  test('gives a prediction its id, its version and the caller’s request id', async () => {
    const { status, headers } = await ask(name, { headers: { 'x-request-id': `mine-${name}` } });
    expect([status, headers.get('x-request-id'), headers.get('x-slipway-version')]).toEqual([200, `mine-${name}`, '1']);
    expect(headers.get('x-prediction-id')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    expect(headers.get('server-timing')).toMatch(/run;dur=/);
  });

  test('is answered by the version that it names, and told of one that is not there', async () => {
    const { status, headers } = await ask(name, { model: '{}@2' });
    expect([status, headers.get('x-slipway-version')]).toEqual([200, '2']);
    expectRefusal(await ask(name, { model: '{}@9' }), 404);
  });

  test('keeps a unit on its arm', async () => {
    const units = Array.from({ length: 6 }, (_, at) => `user-${at}`);
    const wanted = units.map(versionFor);
    expect(new Set(wanted).size).toBe(2);
    // Until both arms can answer, units of one get the other.
    const seen = async (): Promise<(string | null)[]> => {
      const all = units.map((unit) => ask(name, { model: 'halves-{}', headers: { 'x-slipway-unit': unit } }));
      return (await Promise.all(all)).map(({ headers }) => headers.get('x-slipway-version'));
    };
    await expect.poll(seen, { timeout: 20_000 }).toEqual(wanted);
  });

  test('answers thousands of rows, read and written in threads', async () => {
    const { status, text } = await ask(name, { some: most });
    expect(status).toBe(200);
    expect(text).toMatch(name === 'openai' ? /"index":2047\b/ : /\b(99999|100000)\b/);
  });

  test.each([
    ['no key', 401, { authorization: '' }],
    ['a wrong key', 401, { authorization: 'Bearer slipway_live_x' }],
    ['two keys', 400, { 'x-api-key': 'y' }],
    ['a foreign page', 403, { origin: 'https://example.com' }],
    ['a bad deadline', 400, { 'x-request-timeout-ms': 'soon' }],
    ['another encoding', 415, { 'content-encoding': 'br' }],
    ['another charset', 415, { 'content-type': 'application/json; charset=utf-16' }],
    ['another type', 415, { 'content-type': 'application/xml' }],
  ])('refuses %s in its own form', async (_title, status, headers) => {
    expectRefusal(await ask(name, { headers: headers as Record<string, string> }), status);
  });

  test('takes the key as X-API-Key too', async () => {
    const { status } = await ask(name, { headers: { authorization: '', 'x-api-key': free.text } });
    expect(status).toBe(200);
  });

  test('refuses a body beyond the bound, an unknown model, and ragged rows', async () => {
    expectRefusal(await ask(name, { padding: ' '.repeat(5 * 1024 * 1024) }), 413);
    expectRefusal(await ask(name, { model: 'nothing' }), 404);
    expectRefusal(await ask(name, { some: RAGGED }), statuses.ragged);
  });

  test('keeps the deadline and the quota of a key', async () => {
    expectRefusal(await ask(name, { some: most, headers: { 'x-request-timeout-ms': '1' } }), 504);
    const { text } = limited[NAMES.indexOf(name)]!;
    const headers = { authorization: `Bearer ${text}` };
    expect((await ask(name, { headers })).status).toBe(200);
    const refused = await ask(name, { headers });
    expectRefusal(refused, 429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  });
});

test('what all of them were asked is counted in one place', async () => {
  await control.connected();
  const line =
    /slipway_requests_total\{project="default",endpoint="counted-\w+",version="1",status="(\d)\d\d"\} (\d+)/g;
  const counted = (): { answered: number; refused: number } => {
    const sums = { answered: 0, refused: 0 };
    for (const [, kind, count] of control.heard.metrics.matchAll(line)) {
      sums[kind === '2' ? 'answered' : 'refused'] += Number(count);
    }
    return sums;
  };
  for (const name of NAMES) {
    expect((await ask(name, { model: 'counted-{}' })).status).toBe(200);
    expect((await ask(name, { model: 'counted-{}', some: RAGGED })).status).toBeGreaterThanOrEqual(400);
  }
  // Gateways tell their metrics every five seconds.
  await expect
    .poll(counted, { timeout: 60_000, interval: 200 })
    .toEqual({ answered: NAMES.length, refused: NAMES.length });
}, 90_000);
