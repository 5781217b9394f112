/**
 * How often gates on pairs err although they are looked at all the time, and how soon they see harm: the real judges on simulated calls.
 * Bounds are alpha and three standard deviations of the number of repetitions.
 */
import { describe, expect, it } from 'vitest';
import { readGate, shadowEvidence, stageEvidence } from '../../../test/fixtures/gate-evidence.ts';
import { randomNumbers } from '../../base/random-numbers.ts';
import type { ShadowEvidence } from '../../serving/endpoints/arm-evidence.ts';
import type { Gate, GateReading, PairedAccuracyGate, ShadowGate } from './gate.ts';

const ALPHA = 0.05;
const SEED = Number(process.env['SLIPWAY_TEST_SEED'] ?? 20_261_126);
const TIMES = 300;
const MOST = ALPHA + 3 * Math.sqrt((ALPHA * (1 - ALPHA)) / TIMES);
/** A look after every few pairs, and later after every further tenth. */
const LOOK = 25;

const agreement: ShadowGate = {
  kind: 'shadow',
  name: 'agreement',
  role: 'guardrail',
  maxExcessFlips: 0.02,
  maxBias: null,
  minPairs: 300,
  minCoverage: 0.8,
  maxLatencyRatio: 1.5,
  alpha: ALPHA,
};
const accuracy: PairedAccuracyGate = {
  kind: 'paired-accuracy',
  name: 'accuracy',
  role: 'guardrail',
  failMargin: 1,
  passMargin: 1.5,
  alpha: ALPHA,
};

type Totals = {
  pairs: number;
  flips: number;
  bySlice: Record<string, { pairs: number; flips: number }>;
  onlyLiveRight: number;
  onlyShadowRight: number;
  sum: number;
  squares: number;
};

/** One further pair of the candidate, or of the noise floor. */
type Draw = (totals: Totals, random: () => number) => void;

/** @returns the share of repetitions in which it was ever so */
function everIs(
  gate: Gate,
  is: (reading: GateReading) => boolean,
  most: number,
  draw: Draw,
  noise: Draw | null = null,
): number {
  let count = 0;
  for (let time = 0; time < TIMES; time++) {
    const random = randomNumbers(SEED + time * 7919);
    const [own, floor] = [newTotals(), newTotals()];
    while (own.pairs < most) {
      for (let more = Math.max(LOOK, own.pairs / 10); more > 0; more--) {
        draw(own, random);
        noise?.(floor, random);
      }
      const shadows = { candidate: told(own), ...(noise && { 'noise-floor': told(floor) }) };
      if (!is(readGate(gate, { evidence: stageEvidence({}, shadows) }))) continue;
      count++;
      break;
    }
  }
  return count / TIMES;
}

function newTotals(): Totals {
  return { pairs: 0, flips: 0, bySlice: {}, onlyLiveRight: 0, onlyShadowRight: 0, sum: 0, squares: 0 };
}

function told({ sum, squares, ...counts }: Totals): ShadowEvidence {
  const n = counts.pairs;
  return shadowEvidence({ ...counts, difference: { n, mean: sum / n, m2: squares - (sum * sum) / n } });
}

/** A decision that differs in so many of the pairs, in the slices alike or as said. */
const flipping =
  (rate: number, slices: readonly number[] = [1]): Draw =>
  (totals, random) => {
    const at = Math.floor(random() * slices.length);
    totals.bySlice[at] ??= { pairs: 0, flips: 0 };
    const slice = totals.bySlice[at];
    const isFlip = random() < rate * slices[at]! ? 1 : 0;
    totals.pairs += 1;
    totals.flips += isFlip;
    slice.pairs += 1;
    slice.flips += isFlip;
  };
const stops = (reading: GateReading): boolean => reading.verdict === 'FAIL';
const passes = (reading: GateReading): boolean => reading.verdict === 'PASS';

describe(`a shadow that is looked at all the time (seed ${SEED})`, () => {
  it('like the current version, by chance differing as that does from itself, is stopped at most alpha of the time', () => {
    expect(everIs(agreement, stops, 1200, flipping(0.01), flipping(0.01))).toBeLessThanOrEqual(MOST);
  });

  it('whose differences are just what is allowed is neither stopped nor passed more often than alpha', () => {
    expect(everIs(agreement, stops, 1200, flipping(0.02))).toBeLessThanOrEqual(MOST);
    expect(everIs(agreement, passes, 1200, flipping(0.02))).toBeLessThanOrEqual(MOST);
    expect(everIs(agreement, passes, 1200, flipping(0.03), flipping(0.01))).toBeLessThanOrEqual(MOST);
  });

  it('is not stopped for a slice more often than alpha where one differs just five times as often', () => {
    const gate = { ...agreement, maxExcessFlips: 0.9999 };
    expect(everIs(gate, stops, 1200, flipping(0.02, [1, 1, 1, 1, 1]))).toBeLessThanOrEqual(MOST);
    expect(everIs(gate, stops, 1200, flipping(0.02, [5, 1, 1, 1, 1]))).toBeLessThanOrEqual(MOST);
  });

  it('is not stopped for a bias that is just what is allowed, also of skewed answers', () => {
    const gate = { ...agreement, maxExcessFlips: 0.9999, maxBias: 1 };
    // exponential: mean 1, and as skew as answers usually get
    const skewed: Draw = (totals, random) => {
      const difference = -Math.log(1 - random());
      totals.pairs += 1;
      totals.sum += difference;
      totals.squares += difference * difference;
    };
    expect(everIs(gate, stops, 1200, skewed)).toBeLessThanOrEqual(MOST);
  });

  it('that differs three times as often as is allowed is seen', () => {
    expect(everIs(agreement, stops, 1500, flipping(0.06))).toBeGreaterThan(0.95);
    expect(everIs(agreement, stops, 1500, flipping(0.02, [1, 1, 1, 1, 20]))).toBeGreaterThan(0.95);
  });

  it('that agrees passes', () => {
    expect(everIs(agreement, passes, 1500, flipping(0.002))).toBeGreaterThan(0.95);
  });
});

describe('which of two models was right, looked at as truths come', () => {
  /** Of the pairs of which only one model was right, the live one was in `worse` of them. */
  const paired =
    (worse: number): Draw =>
    (totals, random) => {
      totals.pairs += 1;
      if (random() < worse) totals.onlyLiveRight += 1;
      else totals.onlyShadowRight += 1;
    };
  const oddsOf = (ratio: number): number => ratio / (1 + ratio);

  it('equal models fail, and one that is just as bad as the margin passes, at most alpha of the time', () => {
    expect(everIs(accuracy, stops, 2000, paired(oddsOf(1)))).toBeLessThanOrEqual(MOST);
    expect(everIs(accuracy, passes, 2000, paired(oddsOf(1.5)))).toBeLessThanOrEqual(MOST);
  });

  it('a model that is wrong twice as often as it alone is right is seen, and an equal one passes', () => {
    expect(everIs(accuracy, stops, 500, paired(oddsOf(2)))).toBeGreaterThan(0.95);
    expect(everIs(accuracy, passes, 1000, paired(oddsOf(1)))).toBeGreaterThan(0.9);
  });
});
