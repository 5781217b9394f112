/** Metrics that come as feedback, and what of them gates look at. */
import type { Outcomes, Spread } from '../monitoring/predictions/arm-outcomes.ts';
import type { Gate } from './gates/gate.ts';
import type { Plan } from './plan.ts';
import type { OutcomeEvidence } from './rollout.ts';

/** Yes or no: `wrong` is an answer that missed its truth. */
export const OUTCOME_RATES = ['wrong'] as const;
/** Numbers: distance from the truth, scores and ratings. */
export const OUTCOME_MEANS = ['error', 'score', 'rating'] as const;

/** The outcome that a gate looks at; null where it looks at none. A metric that is an output is that output. */
export function outcomeOf(gate: Gate, outputs: readonly string[]): string | null {
  switch (gate.kind) {
    case 'rate-ratio':
      return gate.metric === 'errors' ? null : gate.metric;
    case 'mean-difference':
      return outputs.includes(gate.metric) ? null : gate.metric;
    case 'paired-accuracy':
      return 'wrong';
    default:
      return null;
  }
}

export function needsOutcomes(plan: Plan, outputs: readonly string[]): boolean {
  return plan.stages.some(
    (stage) => stage.kind !== 'approve' && stage.gates.some((gate) => outcomeOf(gate, outputs) !== null),
  );
}

/** As gates are given them: of each metric and stage, by arm. */
export function outcomeEvidence({ arms }: Outcomes): OutcomeEvidence[] {
  const result: OutcomeEvidence[] = [];
  for (const [stage, own] of Map.groupBy(arms, (arm) => arm.stage)) {
    const told = (metric: string, of: (arm: Outcomes['arms'][number]) => Spread & { bad: number }): void => {
      const counts = own.map((arm) => {
        const { n, mean, m2, bad } = of(arm);
        return [arm.arm, { eligible: arm.eligible, labelled: n, bad, mean, m2 }] as const;
      });
      if (counts.some(([, one]) => one.labelled > 0)) result.push({ metric, stage, arms: Object.fromEntries(counts) });
    };
    told('wrong', ({ truths, wrong }) => ({ n: truths, bad: wrong, mean: 0, m2: 0 }));
    for (const metric of OUTCOME_MEANS) told(metric, (arm) => ({ ...arm[metric], bad: 0 }));
  }
  return result;
}
