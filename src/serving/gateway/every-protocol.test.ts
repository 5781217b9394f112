/** What holds whatever protocol a caller speaks: ids, keys, quotas, deadlines, bounds, metrics. A protocol is one row of the table. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { add, end, type GatewayProcess, playControl, serve } from '../../../test/fixtures/gateway.ts';
import { hashSecret, makeKey } from '../../base/access/key.ts';
import { NO_LIMITS } from '../../base/access/key-limits.ts';
import type { DesiredKey } from '../endpoints/desired-state.ts';
import { PROTOCOLS } from '../protocols/protocols.ts';

type Row = {
  readonly path: (model: string) => string;
  /** A request for rows of three floats. */
  readonly body: (rows: readonly (readonly number[])[]) => unknown;
  /** The message of a refusal. */
  readonly message: (body: Record<string, never>) => unknown;
};

const error = (body: Record<string, never>): unknown => body['error'];
const ROWS: Readonly<Record<string, Row>> = {
  'open-inference': {
    path: (model) => `/v2/models/${model}/infer`,
    body: (rows) => ({ inputs: [{ name: 'X', datatype: 'FP32', shape: [rows.length, 3], data: rows.flat() }] }),
    message: error,
  },
  plain: {
    path: (model) => `/endpoints/${model}/predict`,
    body: (rows) => ({ inputs: { X: rows } }),
    message: (body) => body['detail'],
  },
  'tensorflow-serving': {
    path: (model) => `/v1/models/${model}:predict`,
    body: (rows) => ({ instances: rows }),
    message: error,
  },
  'kserve-v1': {
    path: (model) => `/v1/models/${model}:predict`,
    body: (rows) => ({ instances: rows }),
    message: error,
  },
  torchserve: {
    path: (model) => `/predictions/${model}`,
    body: (rows) => rows,
    message: (body) => body['message'],
  },
};
const NAMES = Object.keys(ROWS).filter((name) => PROTOCOLS.some((protocol) => protocol.name === name));

const keyOf = (limits: DesiredKey['limits']): { text: string; desired: DesiredKey } => {
  const { text, id, secret } = makeKey();
  const key = { id, project: null, secretSha256: hashSecret(secret), scopes: ['predict'], expiresAt: null };
  return { text, desired: { ...key, ...(limits === undefined ? {} : { limits }) } };
};
const free = keyOf(undefined);
const limited = NAMES.map(() => keyOf({ ...NO_LIMITS, rate: 0.001, burst: 1 }));

let gateway: GatewayProcess;
let control: Awaited<ReturnType<typeof playControl>>;
beforeAll(async () => {
  gateway = await serve(
    { versions: [add()], keys: [free.desired, ...limited.map(({ desired }) => desired)] },
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

type Answer = { status: number; headers: Headers; text: string; body: Record<string, never> };
async function ask(name: string, body: unknown, headers: Record<string, string> = {}, model = 'add'): Promise<Answer> {
  const response = await fetch(gateway.protocolUrls[name]! + ROWS[name]!.path(model), {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${free.text}`, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: JSON.parse(text) as Record<string, never> };
}
const rows = (count: number): number[][] => Array.from({ length: count }, (_, at) => [at, 2, 3]);

describe.each(NAMES)('%s on its own port', (name) => {
  const { body, message } = ROWS[name]!;

  test('gives a prediction its id, its version and the caller’s request id', async () => {
    const { status, headers } = await ask(name, body(rows(1)), { 'x-request-id': `mine-${name}` });
    expect([status, headers.get('x-request-id'), headers.get('x-slipway-version')]).toEqual([200, `mine-${name}`, '1']);
    expect(headers.get('x-prediction-id')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    expect(headers.get('server-timing')).toMatch(/run;dur=/);
  });

  test('answers thousands of rows, read and written in threads', async () => {
    const { status, text } = await ask(name, body(rows(100_000)));
    expect(status).toBe(200);
    expect((text.match(/\b99999\b|\b100000\b/g) ?? []).length).toBeGreaterThan(0);
  });

  test.each([
    ['no key', 401, { authorization: '' }],
    ['a wrong key', 401, { authorization: 'Bearer slipway_live_x' }],
    ['two keys', 400, { 'x-api-key': 'y' }],
    ['a foreign page', 403, { origin: 'https://example.com' }],
    ['a bad deadline', 400, { 'x-request-timeout-ms': 'soon' }],
    ['another encoding', 415, { 'content-encoding': 'br' }],
  ])('refuses %s in its own form', async (_title, status, headers) => {
    const answer = await ask(name, body(rows(1)), headers as Record<string, string>);
    expect(answer.status).toBe(status);
    expect(typeof message(answer.body)).toBe('string');
  });

  test('takes the key as X-API-Key too', async () => {
    const response = await fetch(gateway.protocolUrls[name]! + ROWS[name]!.path('add'), {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': free.text },
      body: JSON.stringify(body(rows(1))),
    });
    expect(response.status).toBe(200);
  });

  test('refuses a body beyond the bound, an unknown model, and ragged rows', async () => {
    const large = await ask(name, JSON.stringify(body(rows(1))) + ' '.repeat(5 * 1024 * 1024));
    expect([large.status, typeof message(large.body)]).toEqual([413, 'string']);
    const unknown = await ask(name, body(rows(1)), {}, 'nothing');
    expect([unknown.status, typeof message(unknown.body)]).toEqual([404, 'string']);
    const ragged = await ask(
      name,
      body([
        [1, 2, 3],
        [4, 5],
      ]),
    );
    expect([ragged.status, typeof message(ragged.body)]).toEqual([400, 'string']);
  });

  test('keeps the deadline and the quota of a key', async () => {
    const late = await ask(name, body(rows(100_000)), { 'x-request-timeout-ms': '1' });
    expect([late.status, typeof message(late.body)]).toEqual([504, 'string']);
    const { text } = limited[NAMES.indexOf(name)]!;
    const headers = { authorization: `Bearer ${text}` };
    expect((await ask(name, body(rows(1)), headers)).status).toBe(200);
    const refused = await ask(name, body(rows(1)), headers);
    expect([refused.status, typeof message(refused.body)]).toEqual([429, 'string']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  });
});

test('what all of them were asked is counted in one place', async () => {
  await control.connected();
  const answered = (): number => {
    const line = /slipway_requests_total\{project="default",endpoint="add",version="1",status="200"\} (\d+)/;
    return Number(line.exec(control.heard.metrics)?.[1] ?? 0);
  };
  // Four predictions of each protocol above; told every five seconds.
  await expect.poll(answered, { timeout: 20_000, interval: 200 }).toBeGreaterThanOrEqual(NAMES.length * 4);
}, 30_000);
