/** What a plan may ask for and this server cannot do: it is refused by name, because a rollout that waits for what never comes says nothing. */
import type { FieldError } from '../base/errors.ts';
import type { Plan } from './plan.ts';

export type Supported = {
  /** Whether gateways make copies of calls for shadows. */
  readonly shadows: boolean;
  /** Whether feedback is joined with the arms of predictions. */
  readonly outcomes: boolean;
};

/** @param outputs names of the new version's outputs: other metrics could only be feedback */
export function unsupportedParts(plan: Plan, outputs: readonly string[], supported: Supported): FieldError[] {
  const faults: FieldError[] = [];
  plan.stages.forEach((stage, at) => {
    const pointer = `/stages/${at}`;
    if (stage.kind === 'shadow' && !supported.shadows)
      faults.push({ pointer, message: 'asks for a shadow, and gateways of this release run none' });
    if (stage.kind === 'approve' || supported.outcomes) return;
    stage.gates.forEach((gate, place) => {
      const needsFeedback =
        (gate.kind === 'rate-ratio' && gate.metric !== 'errors') ||
        (gate.kind === 'mean-difference' && !outputs.includes(gate.metric)) ||
        (gate.kind === 'sample-ratio' && gate.of === 'outcomes') ||
        gate.kind === 'paired-accuracy';
      if (needsFeedback)
        faults.push({
          pointer: `${pointer}/gates/${place}`,
          message: 'needs feedback joined with arms, and this release does not join it',
        });
    });
  });
  return faults;
}
