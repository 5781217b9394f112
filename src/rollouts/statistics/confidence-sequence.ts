/** Intervals for means that hold at every time at once, so that they may be looked at after each observation. */

/** A mean with the spread of its observations: sample variance (divided by n - 1). */
export type Sample = { readonly n: number; readonly mean: number; readonly variance: number };

/** From sum, sum of squares and count. */
export function sampleOfSums(sum: number, sumOfSquares: number, n: number): Sample {
  const mean = sum / n;
  return { n, mean, variance: n > 1 ? (sumOfSquares - (sum * sum) / n) / (n - 1) : Number.NaN };
}

/**
 * The normal-mixture test (mixture SPRT): Lambda = sqrt(V / (V + tau^2)) exp(tau^2 (d - d0)^2 / (2 V (V + tau^2))).
 * Robbins 1970; Johari et al. 2017, of whose form for two arms it is a rewriting.
 * @param variance V, the squared standard error of the estimate
 * @returns Lambda, its p-value, and the half width of the interval at level alpha
 */
export function mixtureTest(given: {
  readonly estimate: number;
  readonly variance: number;
  readonly tau: number;
  readonly alpha: number;
  readonly nullValue?: number;
}): { readonly lambda: number; readonly p: number; readonly halfWidth: number } {
  const { estimate, variance: v, tau, alpha, nullValue = 0 } = given;
  const tau2 = tau * tau;
  const lambda = Math.sqrt(v / (v + tau2)) * Math.exp((tau2 * (estimate - nullValue) ** 2) / (2 * v * (v + tau2)));
  const halfWidth = Math.sqrt(((v * (v + tau2)) / tau2) * Math.log((v + tau2) / (v * alpha * alpha)));
  return { lambda, p: Math.min(1, 1 / lambda), halfWidth };
}

/**
 * The tuning of the asymptotic confidence sequence that makes it narrowest at n* observations. n* is fixed before looking.
 * Waudby-Smith et al. 2021 (arXiv:2103.06476), appendix on choosing rho.
 */
export function asymptoticRho(alpha: number, expectedTotal: number): number {
  const twice = -2 * Math.log(alpha);
  return Math.sqrt((twice + Math.log(1 + twice)) / expectedTotal);
}

/** Half width at n observations, both sides. Ibid. equation 9. */
export function asymptoticHalfWidth(standardError: number, n: number, rho: number, alpha: number): number {
  const m = n * rho * rho;
  return standardError * Math.sqrt(((2 * (m + 1)) / m) * Math.log(Math.sqrt(m + 1) / alpha));
}

/** Half width of a bound on one side, with rho of twice alpha. Ibid. */
export function asymptoticHalfWidthOneSided(standardError: number, n: number, rho: number, alpha: number): number {
  const m = n * rho * rho;
  return standardError * Math.sqrt(((2 * (m + 1)) / m) * Math.log(1 + Math.sqrt(m + 1) / (2 * alpha)));
}

/** Difference treated minus control, with its standard error. */
export function meanDifference(control: Sample, treated: Sample): { estimate: number; standardError: number } {
  return {
    estimate: treated.mean - control.mean,
    standardError: Math.sqrt(control.variance / control.n + treated.variance / treated.n),
  };
}

/** Lift relative to control, by the delta method: Var = v2 / (n2 m1^2) + v1 m2^2 / (n1 m1^4). */
export function relativeLift(control: Sample, treated: Sample): { estimate: number; standardError: number } {
  const m1 = control.mean;
  return {
    estimate: (treated.mean - m1) / Math.abs(m1),
    standardError: Math.sqrt(
      treated.variance / treated.n / m1 ** 2 + ((control.variance / control.n) * treated.mean ** 2) / m1 ** 4,
    ),
  };
}

/** Variance of a ratio of means of n units, by the delta method; what sticky units with several calls each need. */
export function ratioVariance(given: {
  readonly n: number;
  readonly top: Sample;
  readonly bottom: Sample;
  readonly covariance: number;
}): number {
  const { n, top, bottom, covariance } = given;
  const ratio = top.mean / bottom.mean;
  return (
    (ratio ** 2 *
      (top.variance / top.mean ** 2 +
        bottom.variance / bottom.mean ** 2 -
        (2 * covariance) / (top.mean * bottom.mean))) /
    n
  );
}
