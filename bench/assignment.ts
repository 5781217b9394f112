/**
 * What the arm of a call costs: the plain canary, and one with holdout, layer and enrolment (four hashes). Rounds of both take turns,
 * and the median is told. `bin/node-24 bench/assignment.ts`
 */
import { assign } from '../src/serving/endpoints/assignment.ts';
import type { TrafficSplit } from '../src/serving/endpoints/traffic.ts';

const CALLS = 100_000;
const ROUNDS = 9;
/** What the issue allows for one request. */
const MOST_US = 5;

const plain: TrafficSplit = {
  id: 'r',
  planVersion: 'sha256:0',
  epoch: 1,
  stage: 0,
  hashVersion: 1,
  unit: { key: 'user', from: { kind: 'header', name: 'x-slipway-unit' } },
  salts: { layer: 'layer', holdout: 'holdout', enrolment: 'enrolment', arm: 'a-salt-of-thirty-two-characters.1.arm' },
  isKilled: false,
  rules: [],
  holdoutShare: 0,
  layerSlot: [0, 1],
  enrolmentShare: 1,
  fallback: 'control',
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
  measure: { latencyLevelsMs: [], warmUpCalls: 0, outputs: [], sliceBy: null, maxSlices: 20 },
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

const rounds = { plain: [] as number[], full: [] as number[] };
microseconds(plain);
for (let round = 0; round < ROUNDS; round++) {
  rounds.plain.push(microseconds(plain));
  rounds.full.push(microseconds(full));
}
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
const [one, four] = [median(rounds.plain), median(rounds.full)];
console.log(`assignment: ${one.toFixed(2)} us a request; ${four.toFixed(2)} us with holdout, layer and enrolment`);
if (one > MOST_US) {
  console.error(`assignment costs more than ${MOST_US} us`);
  process.exit(1);
}
