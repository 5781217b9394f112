/** One gate's reading, whatever its kind. */
import type { Gate, GateReading } from './gate.ts';
import { type GateContext, type Judgement, readingOf } from './gate-context.ts';
import { judgeMeanDifference, judgeOutputShift } from './output-gates.ts';
import { judgeExternal, judgeGolden, reportQuantiles } from './outside-gates.ts';
import { judgeExceedance, judgeRateRatio } from './rate-gates.ts';
import { judgeCeiling, judgeSampleRatio } from './safety-gates.ts';
import { judgePairedAccuracy, judgeShadow } from './shadow-gates.ts';

/** Evidence that cannot be judged is never good evidence: a judge that throws makes its gate INVALID. */
export function judgeGate(gate: Gate, context: GateContext): GateReading {
  try {
    return readingOf(gate, judge(gate, context));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return readingOf(gate, { verdict: 'INVALID', text: `The evidence for ${gate.name} cannot be judged: ${reason}` });
  }
}

function judge(gate: Gate, context: GateContext): Judgement {
  switch (gate.kind) {
    case 'rate-ratio':
      return judgeRateRatio(gate, context);
    case 'exceedance':
      return judgeExceedance(gate, context);
    case 'mean-difference':
      return judgeMeanDifference(gate, context);
    case 'output-shift':
      return judgeOutputShift(gate, context);
    case 'ceiling':
      return judgeCeiling(gate, context);
    case 'sample-ratio':
      return judgeSampleRatio(gate, context);
    case 'shadow':
      return judgeShadow(gate, context);
    case 'paired-accuracy':
      return judgePairedAccuracy(gate, context);
    case 'golden':
      return judgeGolden(gate, context);
    case 'external':
      return judgeExternal(gate, context);
    case 'quantile':
      return reportQuantiles(gate, context);
  }
}
