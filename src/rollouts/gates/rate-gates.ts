/** Gates on rates of events, errors and slow calls: judged by the stratified rate-ratio e-process. */

import type { Stratum } from '../rollout.ts';
import { lnE, lnERate, lnMeanE, type RateStratum, rateRatioEstimate } from '../statistics/rate-ratio.ts';
import { ERRORS, latencyKey, outcomeKey, sliceKey } from '../strata.ts';
import type { ExceedanceGate, RateRatioGate } from './gate.ts';
import { countText, type GateContext, type Judgement, numberText, percentText, undecided } from './gate-context.ts';

type RateRule = {
  readonly key: string;
  readonly failMargin: number;
  readonly passMargin: number | null;
  readonly passBelow: number | null;
  readonly alpha: number;
  readonly bySlice: boolean;
  /** As in "canary … 12 of 400 calls". */
  readonly event: string;
};

export function judgeRateRatio(gate: RateRatioGate, context: GateContext): Judgement {
  const key = gate.metric === ERRORS ? ERRORS : outcomeKey(gate.metric);
  const event = gate.metric === ERRORS ? 'failed' : `were ${gate.metric}`;
  return judgeRate({ ...gate, key, event }, context);
}

export function judgeExceedance(gate: ExceedanceGate, context: GateContext): Judgement {
  const event = `were slower than control's ${gate.level} before the stage`;
  return judgeRate({ ...gate, key: latencyKey(gate.level), passBelow: null, event }, context);
}

export function ratesOf(strata: readonly Stratum[]): RateStratum[] {
  return strata.map(({ share, canaryEvents, events }) => [share, canaryEvents, events]);
}

/** ln E for a pass. Where there are two ways to pass, the mean of their e-values: each holds where both harms are there. */
export function lnPassE(rule: Pick<RateRule, 'passMargin' | 'passBelow'>, strata: readonly Stratum[]): number | null {
  const ways: number[] = [];
  if (rule.passMargin !== null) ways.push(lnE(ratesOf(strata), rule.passMargin, -1));
  if (rule.passBelow !== null) {
    const exposures = strata.reduce((sum, one) => sum + one.canaryExposures, 0);
    const events = strata.reduce((sum, one) => sum + one.canaryEvents, 0);
    ways.push(lnERate(events, exposures, rule.passBelow, -1));
  }
  return ways.length === 0 ? null : lnMeanE(ways);
}

function judgeRate(rule: RateRule, context: GateContext): Judgement {
  const strata = context.strata[rule.key] ?? [];
  const canary = totalsOf(strata);
  if (canary.exposures === 0) return undecided('No prediction of the canary to look at yet');
  const rates = ratesOf(strata);
  const failE = lnE(rates, rule.failMargin, 1);
  const failAt = Math.log(context.failTests / rule.alpha);
  const ratio = rateRatioEstimate(rates);
  const told = factsOf(rule, strata, ratio);
  const common = { measured: ratio, evidence: canary.all };
  if (failE >= failAt)
    return {
      ...common,
      verdict: 'FAIL',
      bound: rule.failMargin,
      lnE: failE,
      text: `${told}; surely more than ${numberText(rule.failMargin)} times as often`,
    };
  if (rule.bySlice) {
    const slice = worstSlice(rule, context);
    if (slice !== null && slice.lnE >= failAt + Math.log(context.maxSlices))
      return {
        verdict: 'FAIL',
        measured: slice.ratio,
        bound: rule.failMargin,
        lnE: slice.lnE,
        evidence: totalsOf(slice.strata).all,
        text: `In slice ${slice.name}: ${factsOf(rule, slice.strata, slice.ratio)}; surely more than ${numberText(rule.failMargin)} times as often`,
      };
  }
  const passE = lnPassE(rule, strata);
  if (passE === null) return undecided(`${told}; no harm seen`, { ...common, bound: rule.failMargin, lnE: failE });
  const passAt = -Math.log(rule.alpha);
  const bounds = [
    rule.passMargin === null ? [] : [`less than ${numberText(rule.passMargin)} times as often`],
    rule.passBelow === null ? [] : [`below ${percentText(rule.passBelow)}`],
  ].flat();
  const bound = rule.passMargin ?? rule.passBelow;
  if (passE >= passAt)
    return { ...common, verdict: 'PASS', bound, lnE: passE, text: `${told}; surely ${bounds.join(' or ')}` };
  const isPassNearer = passE / passAt >= failE / failAt;
  return undecided(`${told}; not yet sure that it is ${bounds.join(' or ')}`, {
    ...common,
    bound,
    lnE: isPassNearer ? passE : failE,
    remaining: remainingCalls(rule, strata, passAt),
  });
}

function totalsOf(strata: readonly Stratum[]): { exposures: number; events: number; all: number } {
  return {
    exposures: strata.reduce((sum, one) => sum + one.canaryExposures, 0),
    events: strata.reduce((sum, one) => sum + one.canaryEvents, 0),
    all: Math.round(strata.reduce((sum, one) => sum + (one.share > 0 ? one.canaryExposures / one.share : 0), 0)),
  };
}

function factsOf(rule: RateRule, strata: readonly Stratum[], ratio: number | null): string {
  const { exposures, events, all } = totalsOf(strata);
  const others = strata.reduce((sum, one) => sum + one.events, 0) - events;
  const compared = `${countText(events)} of ${countText(exposures)} predictions of the canary ${rule.event}, ${countText(others)} of ${countText(all - exposures)} of control`;
  return ratio === null || !Number.isFinite(ratio) ? compared : `${compared} (${numberText(ratio)} times as often)`;
}

function worstSlice(
  rule: RateRule,
  context: GateContext,
): { name: string; strata: readonly Stratum[]; lnE: number; ratio: number | null } | null {
  const prefix = sliceKey(rule.key, '');
  return (
    Object.entries(context.strata)
      // a slice without an event of the canary cannot be worse
      .filter(([key, strata]) => key.startsWith(prefix) && strata.some((one) => one.canaryEvents > 0))
      .map(([key, strata]) => {
        const rates = ratesOf(strata);
        const name = key.slice(prefix.length);
        return { name, strata, lnE: lnE(rates, rule.failMargin, 1), ratio: rateRatioEstimate(rates) };
      })
      .reduce<ReturnType<typeof worstSlice>>(
        (worst, one) => (worst === null || one.lnE > worst.lnE ? one : worst),
        null,
      )
  );
}

/** Calls compared at most before one gives up to say how long it will take. */
const MOST_CALLS = 1e9;

/**
 * Where events come by chance, a sequence reaches its bound first at about three quarters of the calls at which its expected path does (0.67 to
 * 0.88 of the medians published for base 1 %).
 */
export const FIRST_PASSAGE = 0.75;

/** Further compared calls until a pass if the canary goes on failing as often as all do, at the share of the current stage: about the median. */
export function remainingCalls(
  rule: Pick<RateRule, 'passMargin' | 'passBelow'>,
  strata: readonly Stratum[],
  passAt: number,
): number | null {
  const current = strata.at(-1);
  if (current === undefined || current.share === 0) return null;
  const calls = current.canaryExposures / current.share;
  const rate = calls === 0 ? 0 : current.events / calls;
  const needed = callsUntil((more) => {
    const last: Stratum = {
      share: current.share,
      canaryEvents: current.canaryEvents + rate * more * current.share,
      events: current.events + rate * more,
      canaryExposures: current.canaryExposures + more * current.share,
    };
    return (lnPassE(rule, [...strata.slice(0, -1), last]) ?? Number.NEGATIVE_INFINITY) >= passAt;
  });
  return needed === null ? null : Math.ceil(needed * (rate > 0 ? FIRST_PASSAGE : 1));
}

/** The least number of calls, to about 3 %, from which it holds; null when a billion are not enough. */
export function callsUntil(holds: (calls: number) => boolean): number | null {
  let high = 1;
  while (!holds(high)) {
    high *= 2;
    if (high > MOST_CALLS) return null;
  }
  let low = high / 2;
  while (high - low > Math.max(1, 0.03 * high)) {
    const middle = (low + high) / 2;
    if (holds(middle)) high = middle;
    else low = middle;
  }
  return Math.ceil(high);
}
