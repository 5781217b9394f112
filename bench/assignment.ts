/**
 * What the arm of a call costs: the plain canary, and one with holdout, layer and enrolment (four hashes); and what counting it as evidence does. Rounds take
 * turns, and the median is told. `bin/node-24 bench/assignment.ts`
 */
import { assign } from '../src/serving/endpoints/assignment.ts';
import type { TrafficSplit } from '../src/serving/endpoints/traffic.ts';
import { createEvidenceRecorder } from '../src/serving/gateway/evidence-recorder.ts';
import type { ObservedPrediction } from '../src/serving/gateway/prediction-observer.ts';
import type { Tensor } from '../src/serving/tensors/tensor.ts';
import { HALVES } from '../test/fixtures/traffic-split.ts';

const CALLS = 100_000;
const ROUNDS = 9;
/** The aim for one request. */
const MOST_US = 5;

const plain: TrafficSplit = {
  ...HALVES,
  salts: { layer: 'layer', holdout: 'holdout', enrolment: 'enrolment', arm: 'a-salt-of-thirty-two-characters.1.arm' },
  arms: [
    { name: 'canary', version: 2, ranges: [[0, 0.05]], isAnalysed: true },
    { name: 'control', version: 1, ranges: [[0.5, 0.55]], isAnalysed: true },
    {
      name: 'rest',
      version: 1,
      ranges: [
        [0.05, 0.5],
        [0.55, 1],
      ],
      isAnalysed: true,
    },
  ],
};
const full: TrafficSplit = { ...plain, holdoutShare: 0.02, layerSlot: [0, 0.9], enrolmentShare: 0.9 };
const units = Array.from({ length: CALLS }, (_, at) => `user-${at}`);

function microseconds(split: TrafficSplit): number {
  const from = performance.now();
  for (const unit of units)
    assign(split, {
      unit,
      pinnedArm: null,
      readValue: () => null,
      isReady: () => true,
    });
  return ((performance.now() - from) * 1000) / CALLS;
}

/** What counting a call costs, as gateways do: its arm, class, latency and the last seconds. */
function evidenceMicroseconds(): number {
  const measure: TrafficSplit['measure'] = {
    ...plain.measure,
    latencyLevelsMs: [1, 5, 20],
    outputs: [{ kind: 'class', output: 'scores', classes: ['0', '1'] }],
  };
  const split: TrafficSplit = { ...plain, unit: { ...plain.unit, key: 'request' }, measure };
  const recorder = createEvidenceRecorder({
    instance: 'bench',
    state: { endpoints: () => [] },
    shadows: () => [],
    nowMs: () => performance.now(),
  });
  const outputs: Tensor[] = [{ name: 'scores', datatype: 'FP32', shape: [1, 2], data: Float32Array.of(0.2, 0.8) }];
  const assignment = {
    arm: 'canary',
    reason: 'hash',
    propensity: 0.05,
    unit: 'u',
    planVersion: 'p',
    epoch: 1,
  } as const;
  const predictions = Array.from({ length: 1000 }, (_, at) => ({
    split,
    assignment,
    shadowOf: null,
    outcome: { kind: 'answered', outputs },
    latencyMs: at / 50,
    slice: null,
  })) as unknown as ObservedPrediction[];
  const from = performance.now();
  for (let call = 0; call < CALLS; call++) recorder.observe(predictions[call % predictions.length]!);
  return ((performance.now() - from) * 1000) / CALLS;
}

const rounds = { plain: [] as number[], full: [] as number[], evidence: [] as number[] };
microseconds(plain);
evidenceMicroseconds();
for (let round = 0; round < ROUNDS; round++) {
  rounds.plain.push(microseconds(plain));
  rounds.full.push(microseconds(full));
  rounds.evidence.push(evidenceMicroseconds());
}
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
const [one, four] = [median(rounds.plain), median(rounds.full)];
console.log(
  `assignment: ${one.toFixed(2)} us a request; ${four.toFixed(2)} us with holdout, layer and enrolment; ${median(rounds.evidence).toFixed(2)} us to count it as evidence`,
);
if (one > MOST_US) {
  console.error(`assignment costs more than ${MOST_US} us`);
  process.exit(1);
}
