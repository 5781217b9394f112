/**
 * The rate-ratio e-process, the kernel of most gates. Given K bad events in a stage of which x fell on the canary, and the canary's
 * share w of the compared exposures, x is binomial with theta = wR / (wR + 1 - w), whatever the base rate is and however it moves.
 * E = sum_j pi_j prod_s (theta_s(r0 e^psi_j) / theta_s(r0))^x (…)^(K - x): the likelihood ratio against R = r0, mixed over a half-normal
 * prior of ln(R / r0), multiplied over stages. Under R <= r0 it is a supermartingale, so P(E ever reaches 1 / alpha) <= alpha: it may be looked at
 * after every prediction. Sources: conditional inference for Poisson rates; Ville's inequality; "Anytime-Valid Inference for Multinomial Count Data"
 * (Lindon & Malek 2022). Strata are never pooled: pooled, a base rate that swings during a ramp looks like an effect (Simpson).
 */

/** One stage: the canary's realised share of the compared exposures, its bad events, and the bad events of both. */
export type RateStratum = readonly [share: number, canaryEvents: number, events: number];

const STEP = 0.025;
const PLACES = 161;

/** Half-normal weights (scale 1) on the grid 0, 0.025, … 4, by the trapezoid rule. */
const PRIOR: readonly number[] = (() => {
  const weights = Array.from({ length: PLACES }, (_, place) => {
    const density = Math.exp(-((place * STEP) ** 2) / 2);
    return place === 0 || place === PLACES - 1 ? density / 2 : density;
  });
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => Math.log(weight / sum));
})();

const SHIFTS: { readonly [S in 1 | -1]: Float64Array } = {
  1: Float64Array.from({ length: PLACES }, (_, place) => Math.exp(place * STEP)),
  [-1]: Float64Array.from({ length: PLACES }, (_, place) => Math.exp(-place * STEP)),
};

/**
 * ln E against the hypothesis that the ratio of rates is at most r0 (side 1) or at least r0 (side -1).
 * @returns 0 without events; a stratum in which one of the arms was not exposed says nothing and counts for nothing
 * @throws RangeError for counts that cannot be
 */
export function lnE(strata: readonly RateStratum[], r0 = 1, side: 1 | -1 = 1): number {
  if (!(r0 > 0)) throw new RangeError(`a ratio of rates is above 0, not ${r0}`);
  const terms = Float64Array.from(PRIOR);
  const shifts = SHIFTS[side];
  for (const [share, canaryEvents, events] of strata) {
    if (!(share >= 0 && share <= 1 && canaryEvents >= 0 && canaryEvents <= events))
      throw new RangeError(`no stage has share ${share} and ${canaryEvents} of ${events} events`);
    if (share === 0 || share === 1 || events === 0) continue;
    const odds = (share / (1 - share)) * r0;
    const others = events - canaryEvents;
    const none = Math.log1p(odds);
    for (let place = 0; place < PLACES; place++) {
      // theta / theta0 = e^shift (1 + odds) / (1 + odds e^shift), and (1 - theta) / (1 - theta0) without the e^shift
      const common = none - Math.log1p(odds * shifts[place]!);
      terms[place]! += canaryEvents * (side * place * STEP + common) + others * common;
    }
  }
  return lnSum(terms);
}

/**
 * ln E against the hypothesis that a rate is at least `limit` (side -1) or at most (side 1), from `events` in `exposures`: the same
 * mixture over the odds of the rate, as the binomial has them. A few hundred clean calls can show a rate below 1 %, where no ratio
 * can be had because the control has no events either.
 */
export function lnERate(events: number, exposures: number, limit: number, side: 1 | -1): number {
  return lnE([[limit, events, exposures]], 1, side);
}

/** Log-odds beyond those of any rate that can be counted, and halvings of what lies between: to a ten-thousandth of the odds, and never on the unsure side. */
const FAR = 30;
const HALVINGS = 20;

/**
 * Bounds of a rate, each certain to alpha at every look: the largest limit that it is surely above, and the least that it is surely below, by
 * `lnERate`. 0 and 1 where nothing is sure yet.
 */
export function rateBounds(
  events: number,
  exposures: number,
  alpha: number,
): { readonly low: number; readonly high: number } {
  const sure = -Math.log(alpha);
  const own = Math.min(FAR, Math.max(-FAR, Math.log(events / (exposures - events))));
  /** The limit nearest to the rate that was seen of which it is sure; sureness falls from far away towards it. */
  const nearest = (side: 1 | -1): number => {
    let certain = -side * FAR;
    if (lnERate(events, exposures, rateAt(certain), side) < sure) return side === 1 ? 0 : 1;
    let open = own;
    for (let halving = 0; halving < HALVINGS; halving++) {
      const middle = (certain + open) / 2;
      if (lnERate(events, exposures, rateAt(middle), side) >= sure) certain = middle;
      else open = middle;
    }
    return rateAt(certain);
  };
  return { low: events === 0 ? 0 : nearest(1), high: events === exposures ? 1 : nearest(-1) };
}

function rateAt(logOdds: number): number {
  return 1 / (1 + Math.exp(-logOdds));
}

/** ln of the mean of e-values: again an e-value, whatever their dependence. */
export function lnMeanE(values: readonly number[]): number {
  return values.length === 0 ? 0 : lnSum(values) - Math.log(values.length);
}

/** The always-valid p-value of an e-process that reached `maxLnE` at most. */
export function pOfLnE(maxLnE: number): number {
  return Math.min(1, Math.exp(-maxLnE));
}

/** The ratio of rates that fits all strata best (maximum likelihood); null without events or where it has no finite value. */
export function rateRatioEstimate(strata: readonly RateStratum[]): number | null {
  const told = strata.filter(([share, , events]) => share > 0 && share < 1 && events > 0);
  const canary = told.reduce((sum, [, x]) => sum + x, 0);
  const all = told.reduce((sum, [, , k]) => sum + k, 0);
  if (all === 0) return null;
  if (canary === 0) return 0;
  if (canary === all) return Number.POSITIVE_INFINITY;
  const excess = (lnRatio: number): number =>
    told.reduce((sum, [share, x, k]) => {
      const odds = (share / (1 - share)) * Math.exp(lnRatio);
      return sum + x - (k * odds) / (1 + odds);
    }, 0);
  let low = -50;
  let high = 50;
  for (let round = 0; round < 100; round++) {
    const middle = (low + high) / 2;
    if (excess(middle) > 0) low = middle;
    else high = middle;
  }
  return Math.exp((low + high) / 2);
}

function lnSum(terms: ArrayLike<number> & Iterable<number>): number {
  let most = Number.NEGATIVE_INFINITY;
  for (const term of terms) if (term > most) most = term;
  if (!Number.isFinite(most)) return most;
  let sum = 0;
  for (const term of terms) sum += Math.exp(term - most);
  return most + Math.log(sum);
}
