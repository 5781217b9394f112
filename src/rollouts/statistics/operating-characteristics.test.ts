import { describe, expect, it } from 'vitest';
import { randomNumbers } from '../../base/random-numbers.ts';
import { asymptoticHalfWidthOneSided, asymptoticRho } from './confidence-sequence.ts';
import { twoProportionZ } from './fixed-sample.ts';
import { quantileRanks } from './quantile-sequence.ts';
import { lnE, lnERate, type RateStratum } from './rate-ratio.ts';
import { lnESampleRatio } from './sample-ratio.ts';

/**
 * How often the tests err and how soon they decide, on simulated calls: base rate 1 %, a look every 500 calls, alpha .05 on one side. The
 * published figures (rollouts reference, §3.2) come from 3,000 repetitions in numpy.
 */
const LOOK = 500;
const ALPHA = 0.05;
const TRIP = Math.log(1 / ALPHA);
const SEED = Number(process.env['SLIPWAY_TEST_SEED'] ?? 20_260_826);

/** What 3 standard deviations add to a share of this many repetitions. */
const most = (share: number, repetitions: number): number => share + 3 * Math.sqrt((share * (1 - share)) / repetitions);

type Random = () => number;

/** Binomial numbers by inversion of a table: exact, and fast for one n and p. */
function binomialTable(n: number, p: number): (random: Random) => number {
  const cumulative: number[] = [];
  let chance = (1 - p) ** n;
  let sum = 0;
  for (let k = 0; k <= n; k++) {
    sum += chance;
    cumulative.push(sum);
    chance *= ((n - k) / (k + 1)) * (p / (1 - p));
  }
  return (random) => {
    const u = random();
    let low = 0;
    let high = n;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (cumulative[middle]! >= u) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}

/** Binomial numbers for rare events: skips from event to event. */
function rare(n: number, p: number, random: Random): number {
  let events = -1;
  let at = 0;
  const scale = Math.log1p(-p);
  do {
    events++;
    at += Math.floor(Math.log(1 - random()) / scale) + 1;
  } while (at <= n);
  return events;
}

type Look = { canary: number; control: number; canaryEvents: number; controlEvents: number };

/** Totals after each look until `decide` says so. @returns calls until then, or null */
function run(given: {
  share: number;
  ratio: number;
  base?: number;
  looks: number;
  random: Random;
  split: (random: Random) => number;
  decide: (totals: Look) => boolean;
}): number | null {
  const { ratio, base = 0.01, looks, random } = given;
  const totals: Look = { canary: 0, control: 0, canaryEvents: 0, controlEvents: 0 };
  for (let look = 1; look <= looks; look++) {
    const canary = given.split(random);
    totals.canary += canary;
    totals.control += LOOK - canary;
    totals.canaryEvents += rare(canary, base * ratio, random);
    totals.controlEvents += rare(LOOK - canary, base, random);
    if (given.decide(totals)) return look * LOOK;
  }
  return null;
}

const stratum = ({ canary, control, canaryEvents, controlEvents }: Look): RateStratum => [
  canary / (canary + control),
  canaryEvents,
  canaryEvents + controlEvents,
];
const trips = (totals: Look): boolean => lnE([stratum(totals)]) >= TRIP;
const passes = (margin: number) => (totals: Look) => lnE([stratum(totals)], margin, -1) >= TRIP;

function repeat(
  repetitions: number,
  share: number,
  ratio: number,
  looks: number,
  decide: (totals: Look) => boolean,
): { share: number; median: number } {
  const split = binomialTable(LOOK, share);
  const times = Array.from({ length: repetitions }, (_, at) =>
    run({ share, ratio, looks, split, decide, random: randomNumbers(SEED + at * 7919) }),
  );
  const decided = times.filter((time) => time !== null);
  const sorted = times.map((time) => time ?? Number.POSITIVE_INFINITY).sort((a, b) => a - b);
  return { share: decided.length / repetitions, median: sorted[Math.floor(repetitions / 2)]! };
}

describe(`how often a healthy canary is called a failure (seed ${SEED})`, () => {
  it('at most alpha of 1,000, looked at 400 times each', () => {
    const got = repeat(1000, 0.05, 1, 400, trips);
    expect(got.share).toBeLessThanOrEqual(most(ALPHA, 1000));
    // and it does look: a test that never trips would pass too
    expect(got.share).toBeGreaterThan(0);
  });

  it('at most alpha through a ramp whose base rate triples and falls again', () => {
    const stages = [0.01, 0.05, 0.25, 0.5];
    const bases = [0.03, 0.01, 0.02, 0.01];
    const repetitions = 1000;
    const splits = stages.map((share) => binomialTable(LOOK, share));
    let stratified = 0;
    let pooled = 0;
    for (let at = 0; at < repetitions; at++) {
      const random = randomNumbers(SEED + at * 104_729);
      const strata: RateStratum[] = [];
      const all: Look = { canary: 0, control: 0, canaryEvents: 0, controlEvents: 0 };
      let isTripped = false;
      let isPooledTripped = false;
      stages.forEach((share, stage) => {
        run({
          share,
          ratio: 1,
          base: bases[stage]!,
          looks: 20,
          random,
          split: splits[stage]!,
          decide: (totals) => {
            strata[stage] = stratum(totals);
            isTripped ||= lnE(strata) >= TRIP;
            const sum: Look = {
              canary: all.canary + totals.canary,
              control: all.control + totals.control,
              canaryEvents: all.canaryEvents + totals.canaryEvents,
              controlEvents: all.controlEvents + totals.controlEvents,
            };
            isPooledTripped ||= lnE([stratum(sum)], 1, -1) >= TRIP;
            if (totals.canary + totals.control === 20 * LOOK) Object.assign(all, sum);
            return false;
          },
        });
      });
      if (isTripped) stratified++;
      if (isPooledTripped) pooled++;
    }
    expect(stratified / repetitions).toBeLessThanOrEqual(most(ALPHA, repetitions));
    // what pooling would have claimed of the same calls: that the canary is better
    expect(pooled / repetitions).toBeGreaterThan(0.5);
  });

  it('a z test at every look calls one in three a failure', () => {
    const got = repeat(300, 0.05, 1, 400, ({ canary, control, canaryEvents, controlEvents }) => {
      return canary >= 100 && twoProportionZ(controlEvents, control, canaryEvents, canary).z > 1.645;
    });
    expect(got.share).toBeGreaterThan(0.28);
    expect(got.share).toBeLessThan(0.45);
  });
});

describe('how soon harm is seen (median calls, published in brackets)', () => {
  it.each([
    ['five times the errors at 5 % [2,500]', 0.05, 5, 2500, 100],
    ['twice the errors at 5 % [18,000]', 0.05, 2, 18_000, 300],
    ['half more errors at 5 % [61,500]', 0.05, 1.5, 61_500, 600],
    ['twice the errors at 50 % [4,000]', 0.5, 2, 4000, 300],
  ])('%s', (_title, share, ratio, published, looks) => {
    const got = repeat(300, share, ratio, looks, trips);
    expect(got.share).toBeGreaterThanOrEqual(0.95);
    // the median of 300 has a standard error of about 5 %, and looks come every 500 calls
    expect(Math.abs(got.median - published)).toBeLessThanOrEqual(0.2 * published + LOOK);
  });
});

describe('how soon an equal canary passes', () => {
  it.each([
    ['margin 1.5 at 5 % [65,500]', 0.05, 1.5, 65_500],
    ['margin 1.5 at 25 % [20,500]', 0.25, 1.5, 20_500],
    ['margin 1.5 at 50 % [15,500]', 0.5, 1.5, 15_500],
    ['margin 2 at 5 % [20,250]', 0.05, 2, 20_250],
    ['margin 2 at 25 % [6,500]', 0.25, 2, 6500],
    ['margin 2 at 50 % [6,000]', 0.5, 2, 6000],
  ])('%s', (_title, share, margin, published) => {
    const got = repeat(200, share, 1, 400, passes(margin));
    expect(got.share).toBeGreaterThanOrEqual(0.95);
    expect(Math.abs(got.median - published)).toBeLessThanOrEqual(0.25 * published + LOOK);
  });

  it('and one whose harm is just the margin passes at most alpha of the time', () => {
    expect(repeat(500, 0.05, 1.5, 200, passes(1.5)).share).toBeLessThanOrEqual(most(ALPHA, 500));
    expect(repeat(500, 0.5, 2, 100, passes(2)).share).toBeLessThanOrEqual(most(ALPHA, 500));
  });

  it('nor does one whose error rate is just the absolute limit', () => {
    const got = repeat(500, 0.5, 1, 60, ({ canary, canaryEvents }) => lnERate(canaryEvents, canary, 0.01, -1) >= TRIP);
    expect(got.share).toBeLessThanOrEqual(most(ALPHA, 500));
  });
});

describe('the other sequences', () => {
  it('asymptotic confidence sequences err at most alpha of the time', () => {
    const rho = asymptoticRho(2 * ALPHA, 40_000);
    const got = repeat(500, 0.05, 1, 400, ({ canary, control, canaryEvents, controlEvents }) => {
      if (canary < 500 || canaryEvents < 20) return false;
      const [p1, p2] = [controlEvents / control, canaryEvents / canary];
      const error = Math.sqrt((p1 * (1 - p1)) / control + (p2 * (1 - p2)) / canary);
      return p2 - p1 - asymptoticHalfWidthOneSided(error, canary + control, rho, ALPHA) > 0;
    });
    expect(got.share).toBeLessThanOrEqual(most(ALPHA, 500));
  });

  it.each([0.5, 0.99])('quantile sequences of %d miss at most alpha of the time', (p) => {
    const ranks = Array.from({ length: 201 }, (_, look) => quantileRanks(look * 100, p, ALPHA));
    const repetitions = 1000;
    const draw = binomialTable(100, p);
    let missed = 0;
    for (let at = 0; at < repetitions; at++) {
      const random = randomNumbers(SEED + at * 15_485_863);
      let below = 0;
      for (let look = 1; look <= 200; look++) {
        below += draw(random);
        const [low, high] = ranks[look]!;
        if (below < low || below >= high) {
          missed++;
          break;
        }
      }
    }
    expect(missed / repetitions).toBeLessThanOrEqual(most(ALPHA, repetitions));
    expect(missed).toBeGreaterThan(0);
  });

  it('the sequential sample-ratio test trips on even splits at most alpha of the time, and on 52 : 48 soon', () => {
    const tripAt = (share: number, repetitions: number, looks: number): (number | null)[] => {
      const split = binomialTable(LOOK, share);
      return Array.from({ length: repetitions }, (_, at) => {
        const random = randomNumbers(SEED + at * 32_452_843);
        let first = 0;
        for (let look = 1; look <= looks; look++) {
          first += split(random);
          if (lnESampleRatio([first, look * LOOK - first], [1, 1]) >= TRIP) return look * LOOK;
        }
        return null;
      });
    };
    const even = tripAt(0.5, 1000, 100).filter((time) => time !== null).length / 1000;
    expect(even).toBeLessThanOrEqual(most(ALPHA, 1000));
    const uneven = tripAt(0.52, 200, 200).filter((time) => time !== null);
    expect(uneven.length).toBeGreaterThanOrEqual(190);
  });
});
