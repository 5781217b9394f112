/** Shared-out endpoints on a real gateway: over HTTP and gRPC, by header, field and JSON pointer. */
import { afterEach, expect, test, vi } from 'vitest';
import { add, end, type GatewayProcess, json, makeState, playControl, serve } from '../../../test/fixtures/gateway.ts';
import { connect, floats, OIP } from '../../../test/fixtures/grpc-client.ts';
import { HALVES, trafficOf, versionFor } from '../../../test/fixtures/traffic-split.ts';
import { hashSecret, makeKey } from '../../base/access/key.ts';
import type { TrafficSplit } from '../endpoints/traffic.ts';

let gateway: GatewayProcess | undefined;
afterEach(async () => {
  await end(gateway);
  gateway = undefined;
});

const versions = [add(), add({ version: 2, file: 'add-two.onnx' })];
const endpointsWith = (split: Partial<TrafficSplit>) => [{ name: 'add', traffic: trafficOf(split) }];

const units = Array.from({ length: 40 }, (_, at) => `user-${at}`);

async function answeredBy(
  headers: Record<string, string>,
  body: unknown = { records: [{ X: [1, 2, 3] }] },
): Promise<string> {
  const response = await fetch(`${gateway!.url}/endpoints/add/predict`, json(body, headers));
  const { version, predictions } = (await response.json()) as { version: number; predictions: { Y: number[] }[] };
  expect(response.status).toBe(200);
  expect(predictions[0]!.Y[0]).toBe((body as { records: { X: number[] }[] }).records[0]!.X[0]! + version);
  expect(response.headers.get('x-slipway-version')).toBe(`${version}`);
  return `${version}`;
}

/** Until both arms can answer, units of one get the other. */
const untilUp = (unit: string, version = '2') =>
  vi.waitFor(async () => expect(await answeredBy({ 'x-slipway-unit': unit })).toBe(version), { timeout: 20_000 });
const canaryUnit = units.find((unit) => versionFor(unit) === '2')!;

test('units stay on their arms, over HTTP and over gRPC; without a unit it is control', async () => {
  gateway = await serve({ versions, endpoints: endpointsWith({}) });
  await untilUp(canaryUnit);
  const client = connect(gateway.grpcAddress);
  for (const unit of units) {
    expect(await answeredBy({ 'x-slipway-unit': unit })).toBe(versionFor(unit));
    const reply = await client.call(
      `${OIP}/ModelInfer`,
      {
        model_name: 'add',
        inputs: [{ name: 'X', datatype: 'FP32', shape: [1, 3] }],
        raw_input_contents: [floats(1, 2, 3)],
      },
      { metadata: { 'x-slipway-unit': unit } },
    );
    expect(reply.value['model_version']).toBe(versionFor(unit));
  }
  for (let i = 0; i < 5; i++) expect(await answeredBy({})).toBe('1');
  client.close();
});

test('a named header decides, over gRPC too', async () => {
  gateway = await serve({
    versions,
    endpoints: endpointsWith({ unit: { key: 'tenant', from: { kind: 'header', name: 'x-tenant' } } }),
  });
  await vi.waitFor(async () => expect(await answeredBy({ 'x-tenant': canaryUnit })).toBe('2'), { timeout: 20_000 });
  const client = connect(gateway.grpcAddress);
  for (const unit of units.slice(0, 10)) {
    expect(await answeredBy({ 'x-tenant': unit })).toBe(versionFor(unit));
    const asked = {
      model_name: 'add',
      inputs: [{ name: 'X', datatype: 'FP32', shape: [1, 3] }],
      raw_input_contents: [floats(1, 2, 3)],
    };
    const reply = await client.call(`${OIP}/ModelInfer`, asked, { metadata: { 'x-tenant': unit } });
    expect(reply.value['model_version']).toBe(versionFor(unit));
  }
  client.close();
});

test('a place in the body decides', async () => {
  gateway = await serve({
    versions,
    endpoints: endpointsWith({ unit: { key: 'user', from: { kind: 'pointer', pointer: '/records/0/X/0' } } }),
  });
  const bodyOf = (value: number) => ({ records: [{ X: [value, 2, 3] }] });
  const values = Array.from({ length: 20 }, (_, at) => at);
  const inCanary = values.find((value) => versionFor(`${value}`) === '2')!;
  await vi.waitFor(async () => expect(await answeredBy({}, bodyOf(inCanary))).toBe('2'), { timeout: 20_000 });
  for (const value of values) expect(await answeredBy({}, bodyOf(value))).toBe(versionFor(`${value}`));
});

test('an operator reaches an arm without a share by its name; others may not', async () => {
  const arms = [
    { name: 'green', version: 2, ranges: [], isAnalysed: false },
    { name: 'control', version: 1, ranges: [[0, 1] as const], isAnalysed: true },
  ];
  const [operator, caller] = [makeKey(), makeKey()];
  const keyOf = (key: ReturnType<typeof makeKey>, scope: string) => ({
    id: key.id,
    project: null,
    secretSha256: hashSecret(key.secret),
    scopes: [scope, 'predict'],
    expiresAt: null,
  });
  gateway = await serve({
    versions,
    endpoints: endpointsWith({ arms }),
    keys: [keyOf(operator, 'deploy'), keyOf(caller, 'read')],
  });
  const as = (key: ReturnType<typeof makeKey>) => ({ authorization: `Bearer ${key.text}`, 'x-slipway-arm': 'green' });
  await vi.waitFor(async () => expect(await answeredBy(as(operator))).toBe('2'), { timeout: 20_000 });
  const ask = (headers: Record<string, string>) =>
    fetch(`${gateway!.url}/endpoints/add/predict`, json({ records: [{ X: [1, 2, 3] }] }, headers));
  expect((await ask(as(caller))).status).toBe(403);
  const wrong = await ask({ ...as(operator), 'x-slipway-arm': 'gren' });
  expect(wrong.status).toBe(400);
  expect(await wrong.text()).toContain('Did you mean green?');
  expect(await answeredBy({})).toBe('1');
});

test('an arm that cannot answer has no share, and gateways say which traffic they follow', async () => {
  gateway = await serve({
    versions: [versions[0]!, add({ version: 2, file: 'loop-load.onnx', limits: { loadMs: 3_000 } as never })],
    endpoints: endpointsWith({
      arms: [
        { ...HALVES.arms[0]!, ranges: [[0, 1]] },
        { ...HALVES.arms[1]!, ranges: [] },
      ],
    }),
  });
  const control = await playControl(gateway.dataDir);
  try {
    await control.connected();
    for (const unit of units) expect(await answeredBy({ 'x-slipway-unit': unit })).toBe('1');
    await vi.waitFor(() => expect(control.heard.observed?.endpoints[0]).toMatchObject({ trafficRevision: null }));
    control.send(makeState(gateway.dataDir, { generation: 2, versions, endpoints: endpointsWith({}) }));
    await vi.waitFor(() => expect(control.heard.observed?.endpoints[0]).toMatchObject({ trafficRevision: 1 }), 20_000);
    for (const unit of units) expect(await answeredBy({ 'x-slipway-unit': unit })).toBe(versionFor(unit));
    control.send(
      makeState(gateway.dataDir, {
        generation: 3,
        versions,
        endpoints: [{ name: 'add', traffic: trafficOf({ isKilled: true }, 2) }],
      }),
    );
    await vi.waitFor(() => expect(control.heard.observed?.endpoints[0]).toMatchObject({ trafficRevision: 2 }));
    for (const unit of units) expect(await answeredBy({ 'x-slipway-unit': unit })).toBe('1');
  } finally {
    await control.close();
  }
}, 60_000);
