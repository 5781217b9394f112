/** Who may predict what: keys, scopes, projects. The gateway has no database; keys come with the desired state. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  add,
  end,
  type GatewayProcess,
  json,
  makeDataDir,
  makeState,
  playControl,
  serve,
  startGateway,
  writeState,
} from '../../../test/fixtures/gateway.ts';
import { formatKey, hashSecret, makeKey } from '../../base/access/key.ts';
import type { DesiredKey } from '../endpoints/desired-state.ts';

const key = (scopes: string[], project: string | null = null, expiresAt: string | null = null) => {
  const { id, secret, text } = makeKey();
  const desired: DesiredKey = { id, project, secretSha256: hashSecret(secret), scopes, expiresAt };
  return { id, secret, text, desired };
};

const all = key(['admin']);
const predictor = key(['predict']);
const ofAdd = key(['predict:add'], 'default');
const reader = key(['read']);
const ofEu = key(['predict', 'read'], 'eu');
const ofNewProject = key(['predict'], 'new');
const expired = key(['predict'], null, '2020-01-01T00:00:00.000Z');
const unknown = key(['admin']);
const keys = [all, predictor, ofAdd, reader, ofEu, ofNewProject, expired].map((one) => one.desired);

const state = {
  keys,
  versions: [
    add(),
    add({ project: 'eu', model: 'secret', file: 'add-two.onnx' }),
    add({ model: 'other', file: 'add-two.onnx' }),
  ],
};
const ROW = '{"records":[{"X":[1,2,3]}]}';

let required: GatewayProcess;
let open: GatewayProcess;
beforeAll(async () => {
  [required, open] = await Promise.all([serve(state, { env: { SLIPWAY_INFERENCE_AUTH: 'required' } }), serve(state)]);
}, 60_000);
afterAll(async () => {
  await end(required);
  await end(open);
});

type Answer = { status: number; code: string; text: string; headers: Headers };
async function ask(gateway: GatewayProcess, path: string, authorization?: string, method = 'POST'): Promise<Answer> {
  const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
  const response = await fetch(gateway.url + path, method === 'POST' ? json(ROW, headers) : { method, headers });
  const text = await response.text();
  const body = JSON.parse(text) as { code?: string };
  return { status: response.status, code: body.code ?? '', text, headers: response.headers };
}
const bearer = (one: { text: string }): string => `Bearer ${one.text}`;
const PREDICT = '/endpoints/add/predict';

describe('where predictions need a key', () => {
  it.each<[string, string, string | undefined, number, string]>([
    ['no key', PREDICT, undefined, 401, 'key_missing'],
    ['an admin key', PREDICT, bearer(all), 200, ''],
    ['a key for predictions', PREDICT, bearer(predictor), 200, ''],
    ['a key for this model', PREDICT, bearer(ofAdd), 200, ''],
    ['a key for another model', '/endpoints/other/predict', bearer(ofAdd), 403, 'not_permitted'],
    ['a key that only reads', PREDICT, bearer(reader), 403, 'not_permitted'],
    ['an expired key', PREDICT, bearer(expired), 401, 'key_invalid'],
    ['an unknown key', PREDICT, bearer(unknown), 401, 'key_invalid'],
    [
      'a known id with another secret',
      PREDICT,
      bearer({ text: formatKey({ id: all.id, secret: predictor.secret }) }),
      401,
      'key_invalid',
    ],
    ['a mistyped key', PREDICT, `${bearer(all)}x`, 401, 'key_invalid'],
    ['another scheme', PREDICT, `Basic ${all.text}`, 401, 'key_invalid'],
    ['an empty header', PREDICT, 'Bearer', 401, 'key_invalid'],
    ['a scheme in small letters', PREDICT, `bearer ${all.text}`, 200, ''],
  ])('%s', async (_title, path, authorization, status, code) => {
    const answer = await ask(required, path, authorization);
    expect([answer.status, answer.code]).toEqual([status, code]);
    if (status === 401) expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    expect(answer.text).not.toContain(all.secret);
  });

  it('wrong, unknown and expired keys are told alike', async () => {
    const texts = await Promise.all(
      [unknown, expired].map(async (one) => (await ask(required, PREDICT, bearer(one))).text),
    );
    const [a, b] = texts.map((text) => ({ ...(JSON.parse(text) as object), request_id: '' }));
    expect(a).toEqual(b);
  });

  it('probes need no key, everything else does', async () => {
    expect((await ask(required, '/v2/health/live', undefined, 'GET')).status).toBe(200);
    expect((await ask(required, '/v2/health/ready', undefined, 'GET')).status).toBe(200);
    for (const path of ['/v2', '/v2/models/add', '/v2/models/add/ready', '/endpoints', '/endpoints/add']) {
      expect([path, (await ask(required, path, undefined, 'GET')).status]).toEqual([path, 401]);
    }
  });

  it('a key sees the endpoints that it may use', async () => {
    const names = async (one: { text: string }, path = '/endpoints'): Promise<string[]> =>
      (
        JSON.parse((await ask(required, path, bearer(one), 'GET')).text) as { endpoints: { endpoint: string }[] }
      ).endpoints.map((endpoint) => endpoint.endpoint);
    expect(await names(predictor)).toEqual(['add', 'other']);
    expect(await names(reader)).toEqual(['add', 'other']);
    expect(await names(ofAdd)).toEqual(['add']);
    expect(await names(ofEu, '/p/eu/endpoints')).toEqual(['secret']);
    expect(await names(ofNewProject, '/p/new/endpoints')).toEqual([]);
  });
});

describe('projects', () => {
  it('an endpoint of another project is reached below /p/{project}', async () => {
    const answer = await ask(required, '/p/eu/endpoints/secret/predict', bearer(ofEu));
    expect([answer.status, JSON.parse(answer.text)]).toEqual([
      200,
      expect.objectContaining({ endpoint: 'secret', predictions: [expect.objectContaining({ Y: [3, 4, 5] })] }),
    ]);
    expect((await ask(required, '/p/eu/v2/models/secret', bearer(all), 'GET')).status).toBe(200);
    expect((await ask(required, '/endpoints/secret/predict', bearer(all))).code).toBe('endpoint_not_found');
  });

  it.each([
    ['/p/eu/endpoints/secret/predict', '/p/xx/endpoints/secret/predict', 'POST'],
    ['/p/eu/endpoints/nope/predict', '/p/xx/endpoints/nope/predict', 'POST'],
    ['/p/eu/endpoints', '/p/xx/endpoints', 'GET'],
    ['/p/eu/endpoints/secret', '/p/xx/endpoints/secret', 'GET'],
    ['/p/eu/v2/models/secret/versions/1/infer', '/p/xx/v2/models/secret/versions/1/infer', 'POST'],
    ['/p/eu/v2/models/secret/ready', '/p/xx/v2/models/secret/ready', 'GET'],
  ])('%s of a foreign project answers word for word like %s of none', async (foreign, absent, method) => {
    const seen = await ask(required, foreign, bearer(ofAdd), method);
    const none = await ask(required, absent, bearer(ofAdd), method);
    const neutral = ({ status, text, headers }: Answer) => ({
      status,
      text: text.replaceAll(/[0-9a-f-]{36}/g, 'id').replaceAll(/\b(eu|xx)\b/g, 'p'),
      headers: [...headers.keys()].sort(),
    });
    expect(seen.status).toBe(404);
    expect(neutral(seen)).toEqual(neutral(none));
  });

  it('the default project is foreign to a key of another one', async () => {
    expect((await ask(required, PREDICT, bearer(ofEu))).code).toBe('project_not_found');
  });
});

describe('where predictions need no key', () => {
  it('anybody on the machine may predict; a key that is presented must still be good, and counts', async () => {
    expect((await ask(open, PREDICT)).status).toBe(200);
    expect((await ask(open, '/p/eu/endpoints/secret/predict')).status).toBe(200);
    expect((await ask(open, PREDICT, bearer(predictor))).status).toBe(200);
    expect((await ask(open, PREDICT, bearer(unknown))).code).toBe('key_invalid');
    expect((await ask(open, PREDICT, bearer(expired))).code).toBe('key_invalid');
    expect((await ask(open, PREDICT, bearer(reader))).code).toBe('not_permitted');
    expect((await ask(open, '/p/eu/endpoints/secret/predict', bearer(ofAdd))).code).toBe('project_not_found');
  });
});

describe('keys change while it serves', () => {
  const started: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const one of started.splice(0).reverse()) await one();
  });

  it('a revoked key ends with the next state, a new one works with it, and a rotated one beside the old', async () => {
    const dataDir = makeDataDir();
    const control = await playControl(dataDir);
    started.push(() => control.close());
    const versions = [add()];
    writeState(dataDir, makeState(dataDir, { versions, keys: [all.desired, predictor.desired] }));
    const gateway = await startGateway(dataDir, { env: { SLIPWAY_INFERENCE_AUTH: 'required' } });
    started.push(() => end(gateway));
    await control.connected();
    expect((await ask(gateway, PREDICT, bearer(predictor))).status).toBe(200);
    const fresh = key(['predict:add']);
    control.send(makeState(dataDir, { generation: 2, versions, keys: [all.desired, fresh.desired] }));
    const sentMs = performance.now();
    while ((await ask(gateway, PREDICT, bearer(fresh))).status !== 200)
      expect(performance.now() - sentMs).toBeLessThan(5000);
    expect((await ask(gateway, PREDICT, bearer(predictor))).code).toBe('key_invalid');
    expect((await ask(gateway, PREDICT, bearer(all))).status).toBe(200);
  });

  it('no key stands in the log', () => {
    for (const one of [all, predictor, unknown]) expect(required.log() + open.log()).not.toContain(one.secret);
  });
});
