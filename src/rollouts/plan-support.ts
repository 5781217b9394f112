/** Gates on outcomes that could never decide are refused by name, because a rollout that waits for what never comes says nothing. */
import { closestWord } from '../base/closest-word.ts';
import type { FieldError } from '../base/errors.ts';
import { OUTCOME_MEANS, OUTCOME_RATES, outcomeOf } from './outcomes.ts';
import type { Plan } from './plan.ts';

/**
 * @param outputs names of the new version's outputs: other metrics can only be feedback
 * @param obstacle why feedback cannot be joined with arms here, to follow "cannot"; null when it can
 */
export function outcomeFaults(plan: Plan, outputs: readonly string[], obstacle: string | null): FieldError[] {
  const faults: FieldError[] = [];
  plan.stages.forEach((stage, at) => {
    if (stage.kind === 'approve') return;
    stage.gates.forEach((gate, place) => {
      const metric = outcomeOf(gate, outputs);
      if (metric === null) return;
      const pointer = `/stages/${at}/gates/${place}`;
      const known: readonly string[] =
        gate.kind === 'mean-difference' ? [...OUTCOME_MEANS, ...outputs] : [...OUTCOME_RATES, 'errors'];
      if (!known.includes(metric)) {
        const near = closestWord(metric, known);
        const meant = near === null ? '' : `; did you mean ${near}?`;
        faults.push({ pointer: `${pointer}/metric`, message: `is none of ${known.join(', ')}${meant}` });
      } else if (obstacle !== null) faults.push({ pointer, message: `looks at feedback, which cannot ${obstacle}` });
    });
  });
  return faults;
}
