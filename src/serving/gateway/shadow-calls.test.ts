/** Shadows in a gateway of this process, with real runners: what is copied, what is dropped, and that callers notice nothing. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { add, makeDataDir, makeState, type VersionChoice } from '../../../test/fixtures/gateway.ts';
import { silent } from '../../../test/fixtures/runner-specs.ts';
import { HALVES } from '../../../test/fixtures/traffic-split.ts';
import { systemClock as clock } from '../../base/clock.ts';
import { createShadowCounts } from '../../rollouts/shadow-counts.ts';
import type { EndpointTraffic, ShadowSpec } from '../endpoints/traffic.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { ObservedPrediction } from './prediction-observer.ts';
import { createServingState, type ServingState } from './serving-state.ts';
import { createShadowCalls, type ShadowCalls } from './shadow-calls.ts';

let dataDir = '';
let state: ServingState | null = null;
let shadows: ShadowCalls | null = null;
let told: ObservedPrediction[] = [];
afterEach(async () => {
  shadows?.close();
  await state?.close();
  rmSync(dataDir, { recursive: true, force: true });
  told = [];
});

const SHADOW: ShadowSpec = {
  name: 'candidate',
  version: 2,
  role: 'candidate',
  sampleShare: 1,
  salt: 's',
  timeoutMs: 2_000,
  maxInFlight: 4,
  maxBytesInFlight: 1_000,
  maxBodyBytes: 500,
  compare: { kind: 'regression', output: 'Y', absolute: 0.5, relative: 0 },
};
const traffic = (shadow: Partial<ShadowSpec>, revision = 1): EndpointTraffic => ({
  revision,
  split: {
    ...HALVES,
    unit: { key: 'request', from: { kind: 'header', name: 'x-slipway-unit' } },
    arms: [{ name: 'control', version: 1, ranges: [[0, 1]], isAnalysed: true }],
  },
  shadows: [{ ...SHADOW, ...shadow }],
});

async function start(shadow: Partial<ShadowSpec> = {}, second: Partial<VersionChoice> = {}, loopDelayMs = () => 0) {
  dataDir = makeDataDir();
  state = createServingState({
    dataDir,
    scratchDir: join(dataDir, 'run/runners'),
    retryAfterS: 1,
    inline: true,
    log: silent,
    clock,
    onObservable: () => {},
  });
  const versions = [add(), add({ version: 2, file: 'add-two.onnx', ...second })];
  state.apply(makeState(dataDir, { versions, endpoints: [{ name: 'add', traffic: traffic(shadow) }] }));
  shadows = createShadowCalls({ state, compare: createShadowCounts, tell: (one) => told.push(one), loopDelayMs });
  await vi.waitFor(() => expect(state!.find('default', 'add')?.shadows[0]?.version.isUp).toBe(true), 20_000);
}

const x = (values: number[]): Tensor[] => [
  { name: 'X', datatype: 'FP32', shape: [values.length / 3, 3], data: Float32Array.from(values) },
];
const observe = (given: Partial<ObservedPrediction> = {}, inputs = x([1, 2, 3])): void => {
  const endpoint = state!.find('default', 'add')!;
  shadows!.observe({
    predictionId: 'p1',
    requestId: `r-${Math.random()}`,
    atMs: 0,
    project: 'default',
    endpoint: 'add',
    model: 'add',
    version: 1,
    versionDigest: 'sha256:1',
    protocol: 'plain',
    signature: { inputs: [], outputs: [] },
    assignment: { arm: 'control', reason: 'unassigned', propensity: 1, unit: null, planVersion: null, epoch: 1 },
    split: endpoint.split!.spec,
    slice: null,
    outcome: {
      kind: 'answered',
      outputs: [{ name: 'Y', datatype: 'FP32', shape: [1, 3], data: Float32Array.of(2, 3, 4) }],
    },
    inputs,
    rows: 1,
    latencyMs: 1,
    queueMs: 0,
    runMs: 1,
    shadowOf: null,
    ...given,
  });
};
const evidence = () => shadows!.readings()[0]!.evidence;
const settled = (statuses: object) => vi.waitFor(() => expect(evidence().statuses).toMatchObject(statuses), 20_000);

test('copies go to a runner of their own, and are compared with what the caller got', async () => {
  await start();
  const { version } = state!.find('default', 'add')!.shadows[0]!;
  expect(version).not.toBe(state!.find('default', 'add')!.versions.get(2));
  expect(version.supervisor!.pid).toBeGreaterThan(0);
  observe();
  await settled({ ok: 1 });
  expect(evidence()).toMatchObject({ intended: 1, pairs: 1, flips: 1, difference: { n: 1, mean: 1 } });
  expect(told).toMatchObject([{ shadowOf: 'p1', version: 2, outcome: { kind: 'answered' } }]);
  expect([...(told[0]!.outcome as { outputs: readonly Tensor[] }).outputs[0]!.data]).toEqual([3, 4, 5]);
  expect(shadows!.readings()[0]).toMatchObject({ id: 'r1', epoch: 1, stage: 0, name: 'candidate' });
});

test('memory of callers is copied before it may change', async () => {
  await start();
  const inputs = x([1, 2, 3]);
  observe({}, inputs);
  (inputs[0]!.data as Float32Array).fill(100);
  await settled({ ok: 1 });
  expect(evidence().difference.mean).toBe(1);
});

test('what is not sampled, too large or finds no room is counted, and nothing waits for it', async () => {
  await start({ maxInFlight: 2 });
  for (let i = 0; i < 5; i++) observe();
  await settled({ ok: 2, dropped: 3 });
  observe({}, x(Array.from({ length: 150 }, (_, at) => at)));
  await settled({ oversize: 1 });
  expect(evidence().intended).toBe(6);
  expect(evidence().bySize).toMatchObject({ 1: { intended: 6, compared: 2 } });
});

test('bytes under way are bounded too', async () => {
  await start({ maxInFlight: 100, maxBytesInFlight: 50 });
  for (let i = 0; i < 10; i++) observe(); // 12 bytes each
  await settled({ ok: 4, dropped: 6 });
});

test('a share of calls is picked by request, always the same', async () => {
  await start({ sampleShare: 0.5, maxInFlight: 1000, maxBytesInFlight: 1_000_000 });
  for (let turn = 0; turn < 2; turn++) for (let i = 0; i < 100; i++) observe({ requestId: `r${i}` });
  await vi.waitFor(() => expect(evidence().statuses.ok + evidence().statuses['not-sampled']).toBe(200), 20_000);
  expect(evidence().statuses.ok % 2).toBe(0); // the same ones in both turns
  // within 4 standard deviations of a half
  expect(Math.abs(evidence().statuses.ok / 2 - 50)).toBeLessThan(20);
});

test('pinned calls, failures of callers and copies themselves are not copied', async () => {
  await start();
  observe({ assignment: { arm: null, reason: 'pin', propensity: 1, unit: null, planVersion: null, epoch: 0 } });
  observe({ outcome: { kind: 'failed', code: 'invalid_input' } });
  observe({ outcome: { kind: 'failed', code: 'client_closed' } });
  observe({ inputs: null });
  observe({ shadowOf: 'p0' });
  observe({ version: 2 }); // the candidate's own answer
  expect(shadows!.readings()).toEqual([]);
});

test('nothing is copied while the event loop is late, and again when it is not', async () => {
  let delayMs = 0;
  await start({}, {}, () => delayMs);
  observe();
  await settled({ ok: 1 });
  delayMs = 50;
  await vi.waitFor(() => expect(shadows!.pausedFor).toMatch(/late/), 5_000);
  observe();
  await settled({ dropped: 1 });
  delayMs = 15; // between the two bounds it stays off
  await new Promise((done) => setTimeout(done, 1_200));
  expect(shadows!.pausedFor).not.toBeNull();
  delayMs = 1;
  await vi.waitFor(() => expect(shadows!.pausedFor).toBeNull(), 5_000);
  observe();
  await settled({ ok: 2 });
});

test('switched off, the next call has no copy, and its runner ends', async () => {
  await start();
  const { version } = state!.find('default', 'add')!.shadows[0]!;
  const pid = version.supervisor!.pid!;
  process.kill(pid, 0);
  const versions = [add(), add({ version: 2, file: 'add-two.onnx' })];
  const off: EndpointTraffic = { ...traffic({}, 2), shadows: [] };
  state!.apply(makeState(dataDir, { generation: 2, versions, endpoints: [{ name: 'add', traffic: off }] }));
  observe();
  expect(shadows!.readings()).toEqual([]);
  await vi.waitFor(() => expect(() => process.kill(pid, 0)).toThrow(), 10_000);
});
