import { expect, test } from 'vitest';
import { HALVES } from '../../../test/fixtures/traffic-split.ts';
import { LATENCY_EDGES_MS } from '../endpoints/arm-evidence.ts';
import type { TrafficSplit } from '../endpoints/traffic.ts';
import { latencyPlace } from './arm-counts.ts';
import { createEvidenceRecorder } from './evidence-recorder.ts';
import type { ObservedPrediction, Outcome } from './prediction-observer.ts';
import type { ServedEndpoint } from './serving-state.ts';

const SPLIT: TrafficSplit = {
  ...HALVES,
  measure: {
    latencyLevelsMs: [10, 50],
    warmUpCalls: 1,
    outputs: [
      { kind: 'class', output: 'label', classes: ['0', '1'] },
      { kind: 'number', output: 'score', column: null, edges: [0, 1] },
    ],
    sliceBy: { kind: 'header', name: 'x-tenant' },
    maxSlices: 2,
  },
};

const answered = (label: number, score: number): Outcome => ({
  kind: 'answered',
  outputs: [
    { name: 'label', datatype: 'INT64', shape: [1], data: BigInt64Array.of(BigInt(label)) },
    { name: 'score', datatype: 'FP32', shape: [1, 1], data: Float32Array.of(score) },
  ],
});
const prediction = (given: Partial<ObservedPrediction> & { arm?: string; unit?: string }): ObservedPrediction => ({
  predictionId: 'p',
  requestId: 'r',
  atMs: 0,
  project: 'default',
  endpoint: 'churn',
  model: 'churn',
  version: 2,
  versionDigest: 'sha256:2',
  protocol: 'plain',
  signature: { inputs: [], outputs: [] },
  assignment: {
    arm: given.arm ?? 'canary',
    reason: 'hash',
    propensity: 0.5,
    unit: given.unit ?? 'u',
    planVersion: 'sha256:1',
    epoch: 1,
  },
  split: SPLIT,
  slice: 'acme',
  outcome: answered(1, 0.5),
  inputs: [],
  rows: 1,
  latencyMs: 5,
  queueMs: 0,
  runMs: 0,
  shadowOf: null,
  ...given,
});

function recorder(split: TrafficSplit = SPLIT) {
  let nowMs = 0;
  const endpoint = { split: { spec: split, arms: new Map() } } as unknown as ServedEndpoint;
  const made = createEvidenceRecorder({
    instance: 'g1',
    state: { endpoints: () => [endpoint] },
    shadows: () => [],
    nowMs: () => nowMs,
  });
  return { ...made, wait: (ms: number) => (nowMs += ms) };
}

test('a stage without a call is reported too, and every reading has its own number', () => {
  const { reports } = recorder();
  expect(reports()).toMatchObject([
    { instance: 'g1', sequence: 1, evidence: { id: 'r1', epoch: 1, stage: 0, arms: { canary: { assigned: 0 } } } },
  ]);
  expect(reports()[0]!.sequence).toBe(2);
});

test('answers, failures, latency, outputs, slices and units of an arm', () => {
  const { observe, reports } = recorder();
  observe(prediction({ latencyMs: 1_000 })); // warms up: not timed
  observe(prediction({ latencyMs: 20, unit: 'v' }));
  observe(prediction({ latencyMs: 60, outcome: answered(7, Number.NaN), slice: 'umbrella' }));
  observe(prediction({ outcome: answered(0, -1), slice: 'initech' })); // a third slice is no more told apart
  observe(prediction({ outcome: { kind: 'failed', code: 'run_failed' } }));
  observe(prediction({ outcome: { kind: 'failed', code: 'runner_crashed' } }));
  observe(prediction({ outcome: { kind: 'failed', code: 'invalid_input' } })); // the caller's
  observe(prediction({ outcome: { kind: 'failed', code: 'client_closed' } }));
  observe(prediction({ arm: 'control' }));
  const { canary, control } = reports()[0]!.evidence.arms;
  expect(canary).toMatchObject({
    assigned: 8,
    answered: 4,
    failed: 2,
    failures: { run_failed: 1, runner_crashed: 1 },
    failureRun: 2,
    recent: { spanMs: 10_000, answered: 4, failed: 2 },
    timed: 3,
    over: [2, 1],
    outputs: { label: [1, 2, 1], score: [1, 2, 0, 1] },
    slices: {
      acme: { answered: 2, failed: 2, timed: 1, over: [1, 0] },
      umbrella: { answered: 1, failed: 0, timed: 1, over: [1, 1] },
      other: { answered: 1, failed: 0, timed: 1, over: [0, 0] },
    },
    units: { seen: 2, failed: 1, over: [2, 1] },
  });
  expect(canary!.moments['score']).toEqual({ n: 3, mean: 0, m2: 1.5 });
  expect(canary!.latency.reduce((sum, count) => sum + count)).toBe(3);
  expect(control).toMatchObject({ assigned: 1, answered: 1, failureRun: 0 });
});

test('an answer ends a run of failures, and the last seconds are forgotten', () => {
  const { observe, reports, wait } = recorder();
  observe(prediction({ outcome: { kind: 'failed', code: 'run_failed' } }));
  wait(9_000);
  observe(prediction({}));
  expect(reports()[0]!.evidence.arms['canary']).toMatchObject({ failureRun: 0, recent: { answered: 1, failed: 1 } });
  wait(2_000);
  expect(reports()[0]!.evidence.arms['canary']!.recent).toMatchObject({ answered: 1, failed: 0 });
  wait(60_000);
  expect(reports()[0]!.evidence.arms['canary']!.recent).toMatchObject({ answered: 0, failed: 0 });
});

test('what is pinned, ruled or fell back is not counted', () => {
  const { observe, reports } = recorder();
  for (const reason of ['pin', 'rule', 'arm-not-ready', 'unassigned', 'kill-switch', 'holdout'] as const) {
    observe(prediction({ assignment: { ...prediction({}).assignment, reason } }));
  }
  observe(prediction({ shadowOf: 'p0' }));
  observe(prediction({ split: null }));
  expect(reports()[0]!.evidence.arms['canary']!.assigned).toBe(0);
});

test('a call of the stage before is counted there', () => {
  const { observe, reports } = recorder({ ...SPLIT, stage: 1 });
  observe(prediction({}));
  const all = reports().map(({ evidence }) => [evidence.stage, evidence.arms['canary']!.assigned]);
  expect(new Map(all as [number, number][])).toEqual(
    new Map([
      [0, 1],
      [1, 0],
    ]),
  );
});

test('durations have the place of how many edges are below them', () => {
  for (const ms of [
    0,
    0.05,
    0.1,
    0.1001,
    1,
    1.0001,
    9.99,
    10,
    123.4,
    99_999,
    100_000,
    100_001,
    1e9,
    ...LATENCY_EDGES_MS,
  ]) {
    expect(latencyPlace(ms)).toBe(LATENCY_EDGES_MS.filter((edge) => edge < ms).length);
  }
});

test('the report of a stage is small, whatever the traffic', () => {
  const { observe, reports } = recorder({ ...SPLIT, measure: { ...SPLIT.measure, maxSlices: 20 } });
  for (let i = 0; i < 5_000; i++) {
    observe(prediction({ unit: `u${i}`, slice: `tenant-${i % 100}`, latencyMs: i, arm: i % 2 ? 'canary' : 'control' }));
  }
  expect(JSON.stringify(reports()).length).toBeLessThan(20_000);
});
