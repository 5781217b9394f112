/** Gates on what the model answers: means by asymptotic confidence sequences, spread by e-processes over bins. */

import type { MeanStratum } from '../rollout.ts';
import { asymptoticHalfWidth, asymptoticHalfWidthOneSided, asymptoticRho } from '../statistics/confidence-sequence.ts';
import { lnE, lnMeanE } from '../statistics/rate-ratio.ts';
import { outcomeKey } from '../strata.ts';
import type { MeanDifferenceGate, OutputShiftGate } from './gate.ts';
import { countText, type GateContext, type Judgement, numberText, undecided } from './gate-context.ts';
import { ratesOf } from './rate-gates.ts';

/** The sequence is asymptotic: with fewer observations of an arm it does not hold. */
export const LEAST_OBSERVATIONS = 100;

/**
 * Difference over stages: each stage's own, weighted by n_c n_k / (n_c + n_k), so that a mean that moves during the ramp is no effect.
 * An arm whose values are all the same counts with the other's variance, and at least with the margin's square: no variance seen is not
 * none there.
 */
export function stratifiedDifference(
  strata: readonly MeanStratum[],
  margin: number,
): { readonly estimate: number; readonly standardError: number; readonly canary: number; readonly n: number } | null {
  const told = strata.filter(({ canary, control }) => canary.n > 1 && control.n > 1);
  if (told.length === 0) return null;
  let weights = 0;
  let estimate = 0;
  let variance = 0;
  for (const { canary, control } of told) {
    const weight = (canary.n * control.n) / (canary.n + control.n);
    const [a, b] = [canary.m2 / (canary.n - 1), control.m2 / (control.n - 1)];
    const floor = a === 0 || b === 0 ? Math.max(a, b, margin * margin) : 0;
    weights += weight;
    estimate += weight * (canary.mean - control.mean);
    variance += weight * weight * (Math.max(a, floor) / canary.n + Math.max(b, floor) / control.n);
  }
  return {
    estimate: estimate / weights,
    standardError: Math.sqrt(variance) / weights,
    canary: told.reduce((sum, { canary }) => sum + canary.n, 0),
    n: told.reduce((sum, { canary, control }) => sum + canary.n + control.n, 0),
  };
}

export function judgeMeanDifference(gate: MeanDifferenceGate, context: GateContext): Judgement {
  const strata = context.means[gate.metric] ?? context.means[outcomeKey(gate.metric)] ?? [];
  const got = stratifiedDifference(strata, gate.failMargin);
  const least = Math.min(
    strata.reduce((sum, one) => sum + one.canary.n, 0),
    strata.reduce((sum, one) => sum + one.control.n, 0),
  );
  const isConstant = strata.every(({ canary, control }) => canary.m2 === 0 && control.m2 === 0);
  if (got !== null && isConstant && got.n < gate.expectedTotal)
    return undecided(
      `${gate.metric} never varied on ${countText(got.n)} values; that says something from ${countText(gate.expectedTotal)} on`,
      { evidence: got.n },
    );
  if (got === null || least < LEAST_OBSERVATIONS)
    return undecided(
      `${countText(least)} values of ${gate.metric} on the smaller side; ${LEAST_OBSERVATIONS} are needed`,
      {
        evidence: got?.n ?? 0,
      },
    );
  const { estimate, standardError, n } = got;
  const harm = gate.harm === 'either' ? Math.abs(estimate) : gate.harm === 'decrease' ? -estimate : estimate;
  const half = (alpha: number): number =>
    gate.harm === 'either'
      ? asymptoticHalfWidth(standardError, n, asymptoticRho(alpha, gate.expectedTotal), alpha)
      : asymptoticHalfWidthOneSided(standardError, n, asymptoticRho(2 * alpha, gate.expectedTotal), alpha);
  const failHalf = half(gate.alpha / context.failTests);
  const told = `${gate.metric} of the canary differs by ${numberText(estimate)} (at most ±${numberText(failHalf)}) on ${countText(n)} values`;
  const common = { measured: estimate, evidence: n };
  if (harm - failHalf > gate.failMargin)
    return {
      ...common,
      verdict: 'FAIL',
      bound: gate.failMargin,
      text: `${told}; surely more than ${numberText(gate.failMargin)}`,
    };
  if (gate.passMargin === null) return undecided(`${told}; no harm seen`, { ...common, bound: gate.failMargin });
  const passHalf = half(gate.alpha);
  if (harm + passHalf < gate.passMargin)
    return {
      ...common,
      verdict: 'PASS',
      bound: gate.passMargin,
      text: `${told}; surely less than ${numberText(gate.passMargin)}`,
    };
  return undecided(`${told}; not yet sure that it is less than ${numberText(gate.passMargin)}`, {
    ...common,
    bound: gate.passMargin,
  });
}

/**
 * Whether some class or range of the output is surely more than `margin` times as frequent, or as rare, as with control. A constant answer
 * shows here when nothing else does: it is answered fast and with 200.
 */
export function judgeOutputShift(gate: OutputShiftGate, context: GateContext): Judgement {
  const prefix = `output.${gate.output}.`;
  const bins = Object.entries(context.strata).filter(([key]) => key.startsWith(prefix));
  const seen = bins.reduce((sum, [, strata]) => sum + strata.reduce((s, one) => s + one.canaryEvents, 0), 0);
  if (seen === 0) return undecided(`No ${gate.output} of the canary to look at yet`);
  const values = bins.flatMap(([key, strata]) => {
    const rates = ratesOf(strata);
    const bin = key.slice(prefix.length);
    return [
      { bin, text: 'as often', lnE: lnE(rates, gate.margin, 1) },
      { bin, text: 'as rare', lnE: lnE(rates, 1 / gate.margin, -1) },
    ];
  });
  const all = lnMeanE(values.map((one) => one.lnE));
  const worst = values.reduce((most, one) => (one.lnE > most.lnE ? one : most));
  const common = { bound: gate.margin, lnE: all, evidence: seen };
  if (all >= Math.log(1 / gate.alpha))
    return {
      ...common,
      verdict: 'FAIL',
      pauses: true,
      text: `${gate.output} of the canary is spread otherwise: place ${worst.bin} is surely more than ${numberText(gate.margin)} times ${worst.text} as with control, on ${countText(seen)} predictions of the canary`,
    };
  return undecided(`${gate.output} is spread like that of control so far, on ${countText(seen)} predictions`, common);
}
