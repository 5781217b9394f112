/** What all gates of a stage say together. */
import type { GateReading, Verdict } from './gate.ts';

export type StageVerdict = {
  readonly verdict: Verdict;
  /** Readings that decided it. */
  readonly because: readonly GateReading[];
  /** Signals, proxies and shadows that ask for a person: the stage neither fails nor goes on. */
  readonly holds: readonly GateReading[];
};

/**
 * FAIL > INVALID > CONTINUE > INCONCLUSIVE > PASS. Any guardrail or tripwire fails the stage; all guardrails must pass it (an intersection of
 * unions, so that no correction is due). A stage without a guardrail cannot pass by itself: CONTINUE, and INCONCLUSIVE when its budget is spent.
 * @param isBudgetSpent no more evidence will be waited for: what is undecided is inconclusive
 * @param overruled gates whose FAIL a person has seen and decided to go on with: it counts as a pass of that gate, and nothing else does
 */
export function stageVerdict(
  readings: readonly GateReading[],
  { isBudgetSpent = false, overruled = [] }: { isBudgetSpent?: boolean; overruled?: readonly string[] } = {},
): StageVerdict {
  const counted = readings
    .filter((one) => one.role !== 'report')
    .map((one) =>
      one.verdict === 'FAIL' && overruled.includes(one.gate) ? { ...one, verdict: 'PASS' as const } : one,
    );
  const pauses = (one: GateReading): boolean => one.pauses || one.role === 'signal';
  const holds = counted.filter((one) => one.verdict === 'FAIL' && pauses(one));
  const failed = counted.filter((one) => one.verdict === 'FAIL' && !pauses(one));
  if (failed.length > 0) return { verdict: 'FAIL', because: failed, holds };
  const invalid = counted.filter((one) => one.verdict === 'INVALID');
  if (invalid.length > 0) return { verdict: 'INVALID', because: invalid, holds };
  const guardrails = counted.filter((one) => one.role === 'guardrail');
  const open = guardrails.filter((one) => one.verdict === 'CONTINUE' || one.verdict === 'FAIL');
  const spent = guardrails.filter((one) => one.verdict === 'INCONCLUSIVE');
  if (guardrails.length === 0) return { verdict: isBudgetSpent ? 'INCONCLUSIVE' : 'CONTINUE', because: [], holds };
  if (open.length > 0 && !isBudgetSpent) return { verdict: 'CONTINUE', because: open, holds };
  if (open.length > 0 || spent.length > 0) return { verdict: 'INCONCLUSIVE', because: [...spent, ...open], holds };
  return { verdict: 'PASS', because: guardrails, holds };
}

/** As shown to those who watch: what is undecided when the budget is spent is inconclusive. */
export function closeReadings(readings: readonly GateReading[]): GateReading[] {
  return readings.map((one) => (one.verdict === 'CONTINUE' ? { ...one, verdict: 'INCONCLUSIVE' } : one));
}
