/** Variance reduction by a covariate known before treatment (Deng et al. 2013): Y - theta (X - mean X), theta = cov(X, Y) / var(X) pooled. */
import type { Sample } from './confidence-sequence.ts';

export type Covaried = { readonly outcomes: readonly number[]; readonly covariates: readonly number[] };

/** theta over both arms; 0 where the covariate is constant and so tells nothing. */
export function cupedTheta(control: Covaried, treated: Covaried): number {
  const x = [...control.covariates, ...treated.covariates];
  const y = [...control.outcomes, ...treated.outcomes];
  const mx = meanOf(x);
  const my = meanOf(y);
  const spread = x.reduce((sum, value) => sum + (value - mx) ** 2, 0);
  if (spread === 0) return 0;
  return x.reduce((sum, value, at) => sum + (value - mx) * (y[at]! - my), 0) / spread;
}

/** Both arms adjusted, as samples to compare. */
export function cuped(
  control: Covaried,
  treated: Covaried,
): { readonly theta: number; readonly control: Sample; readonly treated: Sample } {
  const theta = cupedTheta(control, treated);
  const centre = meanOf([...control.covariates, ...treated.covariates]);
  const adjusted = ({ outcomes, covariates }: Covaried): Sample =>
    sampleOf(outcomes.map((value, at) => value - theta * (covariates[at]! - centre)));
  return { theta, control: adjusted(control), treated: adjusted(treated) };
}

export function sampleOf(values: readonly number[]): Sample {
  const mean = meanOf(values);
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { n: values.length, mean, variance: squares / (values.length - 1) };
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
