/** Gates that trip at once, and those that say whether the comparison can be trusted at all. */
import { pOfLnE } from '../statistics/rate-ratio.ts';
import { lnESampleRatio } from '../statistics/sample-ratio.ts';
import { CANARY, CONTROL, REST } from '../strata.ts';
import type { CeilingGate, SampleRatioGate } from './gate.ts';
import { countText, type GateContext, type Judgement, numberText, percentText, undecided } from './gate-context.ts';

/** Where control failed at least this share as often in the same seconds, the fault lies elsewhere than in the new version. */
const SHARED_FAULT = 0.5;

export function judgeCeiling(gate: CeilingGate, context: GateContext): Judgement {
  const canary = context.evidence?.arms[CANARY];
  if (!canary) return undecided('No prediction of the canary to look at yet');
  const { recent } = canary;
  const calls = recent.answered + recent.failed;
  const rate = calls === 0 ? 0 : recent.failed / calls;
  const isRun = gate.consecutiveErrors !== null && canary.failureRun >= gate.consecutiveErrors;
  const isRate = gate.errorRate !== null && calls >= gate.minCalls && rate > gate.errorRate;
  const common = { measured: rate, bound: gate.errorRate, evidence: calls };
  if (!isRun && !isRate)
    return undecided(`${countText(recent.failed)} of the last ${countText(calls)} predictions failed`, common);
  const told = isRun
    ? `The last ${countText(canary.failureRun)} predictions of the canary all failed, and ${gate.consecutiveErrors} is the limit`
    : `${percentText(rate)} of the canary's last ${countText(calls)} predictions failed, more than the limit of ${percentText(gate.errorRate ?? 0)}`;
  const others = [context.evidence?.arms[CONTROL], context.evidence?.arms[REST]].flatMap((arm) => arm?.recent ?? []);
  const otherFailed = others.reduce((sum, one) => sum + one.failed, 0);
  const otherCalls = others.reduce((sum, one) => sum + one.answered + one.failed, 0);
  if (otherCalls >= gate.minCalls && otherFailed / otherCalls >= SHARED_FAULT * rate)
    return {
      ...common,
      verdict: 'INVALID',
      text: `${told}; but so did ${percentText(otherFailed / otherCalls)} of control's, so the fault is not the new version's alone`,
    };
  return { ...common, verdict: 'FAIL', text: told };
}

export function judgeSampleRatio(gate: SampleRatioGate, context: GateContext): Judgement {
  return gate.of === 'assignments' ? judgeAssignments(gate, context) : judgeOutcomes(gate, context);
}

function judgeAssignments(gate: SampleRatioGate, context: GateContext): Judgement {
  const { armShares, evidence } = context;
  if (armShares === null || evidence === null) return undecided('Traffic is not split, or nobody came yet');
  const names = Object.keys(armShares);
  const counts = names.map((name) => {
    const arm = evidence.arms[name];
    return arm?.units?.seen ?? arm?.assigned ?? 0;
  });
  const shares = names.map((name) => armShares[name]!);
  return mismatch(gate, names, counts, shares, 'units and calls that came');
}

/** Labels of one arm only, or more of one: what is known of the truth then depends on the model. */
function judgeOutcomes(gate: SampleRatioGate, context: GateContext): Judgement {
  const judged = context.outcomes.map(({ metric, arms }) => {
    const told = Object.entries(arms).filter(([, arm]) => arm.eligible > 0);
    return mismatch(
      gate,
      told.map(([name]) => name),
      told.map(([, arm]) => arm.labelled),
      told.map(([, arm]) => arm.eligible),
      `feedback of ${metric}`,
    );
  });
  return judged.find((one) => one.verdict === 'INVALID') ?? judged[0] ?? undecided('No feedback to look at yet');
}

function mismatch(
  gate: SampleRatioGate,
  names: readonly string[],
  counts: readonly number[],
  shares: readonly number[],
  what: string,
): Judgement {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (names.length < 2 || total === 0) return undecided(`No ${what} to compare yet`);
  const lnE = lnESampleRatio(counts, shares);
  const whole = shares.reduce((sum, share) => sum + share, 0);
  const told = names
    .map((name, at) => {
      const expected = countText((total * shares[at]!) / whole);
      return `${name} ${countText(counts[at]!)} where ${expected} were to be expected`;
    })
    .join(', ');
  const common = { lnE, evidence: total, measured: pOfLnE(lnE), bound: gate.alpha };
  if (lnE >= -Math.log(gate.alpha))
    return {
      ...common,
      verdict: 'INVALID',
      text: `The arms do not get their shares of the ${what} (${told}; p at most ${numberText(pOfLnE(lnE))}), so they cannot be compared`,
    };
  return undecided(`Shares of the ${what} are as they should be: ${told}`, common);
}
