/**
 * Gates on a shadow's answers beside the live ones. Disagreement alone is no harm: it pauses, so that a person looks. Errors of a new class,
 * answers of another form and too little capacity are harm. Too few copies, or copies of some kinds only, are no comparison.
 */
import { LATENCY_EDGES_MS, type ShadowEvidence } from '../../serving/endpoints/arm-evidence.ts';
import { cohenKappa, concordanceOfMoments, tableOf } from '../statistics/agreement.ts';
import { asymptoticHalfWidth, asymptoticRho } from '../statistics/confidence-sequence.ts';
import { quantileOfCounts } from '../statistics/quantile-sequence.ts';
import { lnE, lnERate, rateBounds } from '../statistics/rate-ratio.ts';
import { lnESampleRatio } from '../statistics/sample-ratio.ts';
import type { PairedAccuracyGate, ShadowGate } from './gate.ts';
import { countText, type GateContext, type Judgement, numberText, percentText, undecided } from './gate-context.ts';
import { LEAST_OBSERVATIONS } from './output-gates.ts';
import { callsUntil } from './rate-gates.ts';

export const CANDIDATE = 'candidate';
export const NOISE_FLOOR = 'noise-floor';

/** Of a kind of fault, before the noise floor is asked. */
const LEAST_FAULTS = 3;
/** Without a noise floor: faults of a kind that are surely more frequent than this are the shadow's own. */
const FAULT_RATE = 0.001;
/** Failures of copies that a shadow may have and pass. */
const MAX_FAILURES = 0.01;
const SLICE_TIMES = 5;
/** Pairs from which decisions are judged, of all or of a slice: the first ones come from a runner that has just started. */
const LEAST_PAIRS = 50;
/** Faults, capacity, decisions, slices and bias: five tests that may stop a shadow, which share its error probability. */
const TESTS = 5;
/** Coverage by size of body: certain to one in a thousand. */
const COVERAGE_ALPHA = 0.001;

export function judgeShadow(gate: ShadowGate, context: GateContext): Judgement {
  const shadow = context.evidence?.shadows[CANDIDATE];
  if (!shadow || shadow.intended === 0) return undecided('No call was copied yet');
  const noise = context.evidence?.shadows[NOISE_FLOOR];
  const alpha = gate.alpha / (context.failTests * TESTS);
  const found =
    faultsOf(shadow, noise, alpha) ??
    capacityOf(shadow, gate, alpha) ??
    coverageOf(shadow, gate) ??
    doubtsOf(shadow, noise, gate, alpha);
  if (found !== null) return { evidence: shadow.pairs, ...found };
  const flips = shadow.pairs === 0 ? null : excessFlips(shadow, noise, gate.alpha);
  const compared = `${countText(shadow.pairs)} pairs, ${countText(shadow.flips)} of which differ in the decision`;
  const { error = 0, timeout = 0 } = shadow.statuses;
  const passAt = -Math.log(gate.alpha);
  const failureE = lnERate(error + timeout, shadow.statuses.ok + error + timeout, MAX_FAILURES, -1);
  const common = { evidence: shadow.pairs, measured: flips?.estimate ?? null, bound: gate.maxExcessFlips };
  const missing: string[] = [];
  if (shadow.pairs < gate.minPairs) missing.push(`${countText(gate.minPairs)} pairs`);
  if (failureE < passAt) missing.push(`certainty that fewer than ${percentText(MAX_FAILURES)} of the copies fail`);
  if (flips === null || flips.high > gate.maxExcessFlips)
    missing.push(
      `certainty that decisions differ by less than ${percentText(gate.maxExcessFlips)} more than by chance`,
    );
  if (missing.length > 0) return undecided(`${compared}; still to come: ${missing.join(', ')}`, common);
  return {
    ...common,
    verdict: 'PASS',
    text: `${compared}; ${agreementText(shadow)}, surely within ${percentText(gate.maxExcessFlips)} of chance`,
  };
}

type Found = Judgement | null;

/** Rule 1: other forms of answers, and classes of errors that live calls do not have. */
function faultsOf(shadow: ShadowEvidence, noise: ShadowEvidence | undefined, alpha: number): Found {
  const kinds: [name: string, count: number, chance: number][] = [
    ['answers of another form', shadow.schemaMismatches, noise?.schemaMismatches ?? 0],
    ...Object.entries(shadow.newErrors).map(([code, count]): [string, number, number] => [
      `failures with ${code}`,
      count,
      noise?.newErrors[code] ?? 0,
    ]),
  ];
  const tried = triedBy(shadow);
  const noiseTried = noise === undefined ? 0 : triedBy(noise);
  for (const [name, count, chance] of kinds) {
    if (count < LEAST_FAULTS) continue;
    const value =
      noiseTried > 0
        ? lnE([[tried / (tried + noiseTried), count, count + chance]])
        : lnERate(Math.min(count, tried), tried, FAULT_RATE, 1);
    if (value >= Math.log(kinds.length / alpha))
      return {
        verdict: 'FAIL',
        measured: count,
        lnE: value,
        text: `${countText(count)} ${name} in ${countText(tried)} copies, where the current version has ${countText(chance)} in ${countText(noiseTried)}`,
      };
  }
  return null;
}

function triedBy({ statuses }: ShadowEvidence): number {
  return statuses.ok + statuses.error + statuses.timeout;
}

/** Rule 6: at equal load it must not be much slower. */
function capacityOf(shadow: ShadowEvidence, gate: ShadowGate, alpha: number): Found {
  const own = quantileOfCounts(LATENCY_EDGES_MS, shadow.shadowLatency, 0.99, alpha / 2);
  const live = quantileOfCounts(LATENCY_EDGES_MS, shadow.liveLatency, 0.99, alpha / 2);
  if (own === null || live === null || !(own.low > gate.maxLatencyRatio * live.high)) return null;
  return {
    verdict: 'FAIL',
    measured: own.low / live.high,
    bound: gate.maxLatencyRatio,
    text: `p99 is at least ${numberText(own.low)} ms, more than ${numberText(gate.maxLatencyRatio)} times the ${numberText(live.high)} ms of live calls`,
  };
}

/** Rule 5: whether what was compared stands for what came. */
function coverageOf(shadow: ShadowEvidence, gate: ShadowGate): Found {
  const coverage = triedBy(shadow) / shadow.intended;
  if (shadow.intended >= gate.minPairs && coverage < gate.minCoverage)
    return {
      verdict: 'INVALID',
      measured: coverage,
      bound: gate.minCoverage,
      text: `Only ${percentText(coverage)} of ${countText(shadow.intended)} copies were made (${countText(shadow.statuses.dropped)} dropped, ${countText(shadow.statuses.oversize)} too large), less than ${percentText(gate.minCoverage)}`,
    };
  const sizes = Object.values(shadow.bySize).filter((one) => one.intended > 0);
  const lnCoverage = lnESampleRatio(
    sizes.map((one) => one.compared),
    sizes.map((one) => one.intended),
  );
  if (lnCoverage < -Math.log(COVERAGE_ALPHA)) return null;
  return {
    verdict: 'INVALID',
    measured: coverage,
    lnE: lnCoverage,
    text: 'Copies of some sizes are missing more often than others, so those compared do not stand for all',
  };
}

/** Rules 2 to 4: decisions, slices and bias that surely differ. They pause. */
function doubtsOf(shadow: ShadowEvidence, noise: ShadowEvidence | undefined, gate: ShadowGate, alpha: number): Found {
  if (shadow.pairs < LEAST_PAIRS) return null;
  const flips = excessFlips(shadow, noise, alpha);
  if (flips.low > gate.maxExcessFlips)
    return {
      verdict: 'FAIL',
      pauses: true,
      measured: flips.estimate,
      bound: gate.maxExcessFlips,
      text: `Decisions differ in ${percentText(shadow.flips / shadow.pairs)} of ${countText(shadow.pairs)} pairs, surely more than ${percentText(gate.maxExcessFlips)} above chance; ${agreementText(shadow)}`,
    };
  const slices = Object.entries(shadow.bySlice);
  const trip = Math.log(slices.length / alpha);
  for (const [name, { pairs, flips: own }] of slices) {
    // of the flips that there were, how many fell on the slice: whatever share of all decisions differs
    if (pairs < LEAST_PAIRS || lnE([[pairs / shadow.pairs, own, shadow.flips]], SLICE_TIMES, 1) < trip) continue;
    return {
      verdict: 'FAIL',
      pauses: true,
      measured: own / pairs,
      bound: (SLICE_TIMES * (shadow.flips - own)) / Math.max(1, shadow.pairs - pairs),
      text: `In slice ${name} ${percentText(own / pairs)} of ${countText(pairs)} decisions differ, surely more than ${SLICE_TIMES} times as many as elsewhere`,
    };
  }
  const { n, mean, m2 } = shadow.difference;
  if (gate.maxBias === null || n < LEAST_OBSERVATIONS) return null;
  const error = Math.sqrt(Math.max(m2 / (n - 1), gate.maxBias ** 2 / n) / n);
  const half = asymptoticHalfWidth(error, n, asymptoticRho(alpha, gate.minPairs), alpha);
  if (Math.abs(mean) - half <= gate.maxBias) return null;
  return {
    verdict: 'FAIL',
    pauses: true,
    measured: mean,
    bound: gate.maxBias,
    text: `Answers differ by ${numberText(mean)} on average over ${countText(n)} pairs, surely more than ${numberText(gate.maxBias)}`,
  };
}

/** Share of differing decisions above the noise floor, with bounds that hold at every look: each side's own, by the kernel of all rates. */
function excessFlips(
  shadow: ShadowEvidence,
  noise: ShadowEvidence | undefined,
  alpha: number,
): { readonly estimate: number; readonly low: number; readonly high: number } {
  if (noise === undefined || noise.pairs === 0) {
    const { low, high } = rateBounds(shadow.flips, shadow.pairs, alpha);
    return { estimate: shadow.flips / shadow.pairs, low, high };
  }
  const own = rateBounds(shadow.flips, shadow.pairs, alpha / 2);
  const floor = rateBounds(noise.flips, noise.pairs, alpha / 2);
  return {
    estimate: shadow.flips / shadow.pairs - noise.flips / noise.pairs,
    low: own.low - floor.high,
    high: own.high - floor.low,
  };
}

/** Pairs that a shadow needs to pass where it never differs from the current version and never fails; null: more than can be counted. */
export function pairsToPass(gate: ShadowGate, hasNoiseFloor: boolean): number | null {
  const passAt = -Math.log(gate.alpha);
  const flipsAt = hasNoiseFloor ? -Math.log(gate.alpha / 2) : passAt;
  const needed = callsUntil(
    (pairs) => lnERate(0, pairs, MAX_FAILURES, -1) >= passAt && lnERate(0, pairs, gate.maxExcessFlips, -1) >= flipsAt,
  );
  return needed === null ? null : Math.max(gate.minPairs, needed);
}

function agreementText(shadow: ShadowEvidence): string {
  const told: string[] = [];
  const kappa = cohenKappa(tableOf(shadow.flipMatrix).table);
  if (kappa !== null) told.push(`kappa ${numberText(kappa)}`);
  const concordance = concordanceOfMoments(shadow.live, shadow.shadow, shadow.comoment);
  if (concordance !== null) told.push(`concordance ${numberText(concordance)}`);
  if (shadow.similarity.n > 0) told.push(`similarity ${numberText(shadow.similarity.mean)}`);
  return told.join(', ') || 'no measure of agreement';
}

/** Pairs of which only one model was right: how often that was the live one, by the same kernel at equal shares. */
export function judgePairedAccuracy(gate: PairedAccuracyGate, context: GateContext): Judgement {
  const shadow = context.evidence?.shadows[CANDIDATE];
  const worse = shadow?.onlyLiveRight ?? 0;
  const better = shadow?.onlyShadowRight ?? 0;
  const discordant = worse + better;
  if (discordant === 0) return undecided('No feedback yet on which only one of the models was right');
  const told = `Of ${countText(discordant)} calls on which one model was right, the new one was right ${countText(better)} times`;
  const failE = lnE([[0.5, worse, discordant]], gate.failMargin, 1);
  const common = { measured: better === 0 ? Number.POSITIVE_INFINITY : worse / better, evidence: discordant };
  if (failE >= Math.log(context.failTests / gate.alpha))
    return { ...common, verdict: 'FAIL', bound: gate.failMargin, lnE: failE, text: `${told}: surely too few` };
  if (gate.passMargin === null) return undecided(told, { ...common, bound: gate.failMargin, lnE: failE });
  const passE = lnE([[0.5, worse, discordant]], gate.passMargin, -1);
  if (passE >= -Math.log(gate.alpha))
    return { ...common, verdict: 'PASS', bound: gate.passMargin, lnE: passE, text: `${told}: surely enough` };
  return undecided(`${told}: not enough to be sure`, { ...common, bound: gate.passMargin, lnE: passE });
}
